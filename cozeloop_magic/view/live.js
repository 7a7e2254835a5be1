/* Draws a run from the model's rows (see live.py). All HTML here was rendered, and escaped, by the kernel. */

function element(parent, tag, className) {
  const node = document.createElement(tag);
  node.className = className;
  parent.append(node);
  return node;
}

/* JupyterLab's typesetter, where there is one; elsewhere formulas show as their source until the end. */
function typeset(model, node) {
  const typesetter = model.widget_manager?.renderMime?.latexTypesetter;
  if (typesetter && node.querySelector(".mathjax_process")) typesetter.typeset(node);
}

function render({ model, el }) {
  const reasoning = element(el, "details", "cozeloop-reasoning");
  element(reasoning, "summary", "").textContent = "Reasoning";
  const thoughts = element(reasoning, "div", "");
  const answer = element(el, "div", "cozeloop-answer jp-RenderedHTMLCommon");
  const settled = element(answer, "div", "cozeloop-settled");
  const tail = element(answer, "div", "cozeloop-tail");
  const calls = element(el, "div", "");
  const status = element(el, "p", "cozeloop-status");
  status.setAttribute("role", "status");
  status.setAttribute("aria-live", "polite");
  let blocks = 0;
  let pieces = 0;
  let answered = false;

  function drawReasoning() {
    const last = model.get("thoughts") ?? 0;
    reasoning.hidden = last === 0;
    const atEnd = thoughts.scrollHeight - thoughts.scrollTop - thoughts.clientHeight < 8;
    for (; pieces < last; pieces++) thoughts.append(model.get(`r${pieces}`));
    if (atEnd) thoughts.scrollTop = thoughts.scrollHeight;
  }

  function drawAnswer() {
    for (; blocks < model.get("blocks"); blocks++) {
      const block = element(settled, "div", "cozeloop-block");
      block.innerHTML = model.get(`b${blocks}`);
      typeset(model, block);
    }
    let html = "";
    for (let line = 0; line < model.get("tail"); line++) html += model.get(`t${line}`);
    if (tail.innerHTML !== html) tail.innerHTML = html;
    answer.hidden = blocks === 0 && html === "";
    const begins = !answer.hidden || model.get("calls") !== "";
    if (begins !== answered) reasoning.open = !begins;
    answered = begins;
  }

  function draw() {
    el.className = `${model.get("root")} ${model.get("mood")}`;
    drawReasoning();
    drawAnswer();
    if (calls.innerHTML !== model.get("calls")) calls.innerHTML = model.get("calls");
    if (status.textContent !== model.get("status")) status.textContent = model.get("status");
  }

  reasoning.open = true;
  model.on("change", draw);
  draw();
  return () => model.off("change", draw);
}

export default { render };
