/* Draws a run from the model's rows (see live.py). All HTML here was rendered, and escaped, by the kernel. */

function element(parent, tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  parent.append(node);
  return node;
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.childNodes];
}

/* Each item of the status line wraps as a whole, and its dot with it. */
function items(line) {
  return line.split(/(?<=·) /).flatMap((text) => {
    const node = document.createElement("span");
    node.textContent = text;
    return [node, " "];
  });
}

function pieces(model, row, from, to) {
  let text = "";
  for (let i = from; i < to; i++) text += model.get(`${row}${i}`);
  return text;
}

/* By JupyterLab's typesetter, where there is one; elsewhere formulas show as their source until the end. */
function typeset(model, nodes) {
  const typesetter = model.widget_manager?.rendermime?.latexTypesetter;
  if (!typesetter) return;
  for (const node of nodes)
    for (const formula of node.querySelectorAll?.(".mathjax_process") ?? []) typesetter.typeset(formula);
}

/* The kernel is interrupted where this can be done: it may hear no message while a cell runs. A run behind other
   cells must not stop those, so it is sent a message; so is a kernel that did not obey. */
async function stop(model, alive) {
  const kernel = model.get("behind") ? null : model.widget_manager?.kernel;
  try {
    if (!kernel?.interrupt) throw new Error("this front end interrupts no kernels");
    await kernel.interrupt();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  } catch {}
  if (alive()) model.send("stop");
}

/* Pages without a secure context have no clipboard, but still obey the old command. */
async function copy(text, near) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = element(near, "textarea", "");
  area.value = text;
  area.select();
  document.execCommand("copy");
  area.remove();
}

function button(parent, label, title, act) {
  const node = element(parent, "button", "cozeloop-button", label);
  node.type = "button";
  node.setAttribute("aria-label", title);
  node.title = title;
  node.addEventListener("click", () => act(node));
  return node;
}

/* What the reader has opened stays open in the output that takes this one's place. */
function handOver(area, opened) {
  if (!area || opened.length === 0) return;
  const open = () => {
    for (const name of opened) for (const node of area.querySelectorAll(`details.${name}`)) node.open = true;
  };
  const watch = new MutationObserver(open);
  watch.observe(area, { childList: true, subtree: true });
  setTimeout(() => watch.disconnect(), 1000);
}

function render({ model, el }) {
  const reasoning = element(el, "details", "cozeloop-reasoning");
  element(reasoning, "summary", "", "Reasoning");
  const thoughts = element(reasoning, "div", "");
  const answer = element(el, "div", "cozeloop-answer jp-RenderedHTMLCommon");
  answer.dir = "auto";
  const fold = element(el, "details", "cozeloop-fold");
  element(element(fold, "summary", ""), "span", "", "Show all");
  const calls = element(el, "div", "");
  const foot = element(el, "div", "cozeloop-foot");
  const status = element(foot, "p", "cozeloop-status");
  const spoken = element(document.body, "span", "cozeloop-spoken"); // outlives the view, to tell the end
  spoken.setAttribute("role", "status");
  spoken.setAttribute("aria-live", "polite");
  el.append(...parse(model.get("request")));
  el.style.setProperty("--cz-fold", `${model.get("height")}px`);
  let area = null;
  let alive = true;
  let blocks = 0;
  let thought = 0;
  let begun = false;
  let tail = { html: "", nodes: [] };

  const copyButton = button(foot, "Copy", "Copy the answer so far as Markdown", async (node) => {
    await copy(pieces(model, "s", 0, model.get("sources") ?? 0), foot);
    node.focus(); // the old command took the focus away
    node.textContent = "Copied";
    setTimeout(() => (node.textContent = "Copy"), 1500);
  });
  button(foot, "Stop", "Stop the answer; the text so far is kept", (node) => {
    node.textContent = "Stopping…";
    node.disabled = true;
    stop(model, () => alive);
  });

  function drawReasoning() {
    const last = model.get("thoughts") ?? 0;
    reasoning.hidden = last === 0;
    if (thought === last) return;
    const atEnd = thoughts.scrollHeight - thoughts.scrollTop - thoughts.clientHeight < 8;
    thoughts.append(pieces(model, "r", thought, last));
    thought = last;
    if (atEnd) thoughts.scrollTop = thoughts.scrollHeight;
  }

  /* Settled blocks are put in once and left alone; the nodes of the tail come after them and are replaced. */
  function drawAnswer() {
    const html = pieces(model, "t", 0, model.get("tail"));
    if (blocks === model.get("blocks") && html === tail.html) return;
    for (const node of tail.nodes) node.remove();
    for (; blocks < model.get("blocks"); blocks++) {
      const block = parse(model.get(`b${blocks}`));
      answer.append(...block);
      typeset(model, block);
    }
    tail = { html, nodes: parse(html) };
    answer.append(...tail.nodes);
  }

  function foldReasoning() {
    answer.hidden = answer.childNodes.length === 0;
    const begins = !answer.hidden || model.get("calls") !== "";
    if (begins !== begun) reasoning.open = !begins;
    begun = begins;
  }

  function draw() {
    el.className = `${model.get("root")} ${model.get("mood")}`;
    area ??= el.closest(".jp-OutputArea");
    drawReasoning();
    drawAnswer();
    foldReasoning();
    fold.hidden = !model.get("long");
    copyButton.hidden = !model.get("sources");
    if (calls.innerHTML !== model.get("calls")) calls.innerHTML = model.get("calls");
    if (status.textContent.trim() !== model.get("status")) status.replaceChildren(...items(model.get("status")));
    if (spoken.textContent !== model.get("progress")) spoken.textContent = model.get("progress");
  }

  reasoning.open = true;
  model.on("change", draw);
  draw();
  return () => {
    alive = false;
    model.off("change", draw);
    setTimeout(() => spoken.remove(), 3000);
    const opened = [...el.querySelectorAll("details[open]")].map((node) => node.className);
    handOver(area, opened.filter((name) => name !== "cozeloop-reasoning"));
  };
}

export default { render };
