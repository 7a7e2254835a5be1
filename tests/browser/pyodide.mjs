// Runs a Python program in Pyodide: node pyodide.mjs PYODIDE PROGRAM DIRECTORY..., each directory mounted as it is.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [pyodide, program, ...directories] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${pyodide}/pyodide.mjs`));
const py = await loadPyodide({ stdout: console.log, stderr: console.error });
for (const directory of directories) {
    py.FS.mkdirTree(directory);
    py.FS.mount(py.FS.filesystems.NODEFS, { root: directory }, directory);
}
py.runPython(readFileSync(program, "utf-8"));
