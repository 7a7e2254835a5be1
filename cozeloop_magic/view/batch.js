/* Draws how far a table is, in one line (see batch.py). */

function render({ model, el }) {
  let alive = true;
  let gone = false;
  el.className = `${model.get("root")} cozeloop-batch`;
  const look = element(el, "p", "cozeloop-look");
  const line = element(el, "div", "cozeloop-line");
  const bar = element(line, "progress", "cozeloop-bar");
  bar.setAttribute("aria-label", "rows that have ended");
  const counts = element(line, "span", "cozeloop-counts");
  const figures = element(line, "span", "cozeloop-figures");
  const stopButton = button(line, "Stop", "Stop the table; what came is kept", (node) => {
    node.disabled = true;
    stop(model, () => alive);
  });

  function put(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  function draw() {
    if (gone) return;
    const share = model.get("share");
    if (share < 0) bar.removeAttribute("value");
    else bar.value = share;
    put(look, model.get("look"));
    put(counts, model.get("counts"));
    put(figures, model.get("figures"));
    look.hidden = !look.textContent;
  }

  const forget = onKernelGone(model.widget_manager?.kernel, () => {
    gone = true;
    stopButton.remove();
    bar.remove();
    put(figures, "the kernel ended: run the cell again, and only what is missing is asked for");
  });
  model.on("change", draw);
  draw();
  return () => {
    alive = false;
    forget();
    model.off("change", draw);
    stopButton.remove();
  };
}

export default { render };
