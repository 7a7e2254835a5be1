/* Tells the kernel that this page draws widgets, and which page it is. */
export default {
  render({ model }) {
    let config = {};
    try {
      config = JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "{}");
    } catch {}
    model.send(`${config.appName ?? "this page"} ${config.appVersion ?? ""}`.trim());
  },
};
