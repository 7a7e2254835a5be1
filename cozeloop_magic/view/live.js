/* Draws a run from the model's rows (see live.py). All HTML here was rendered, and escaped, by the kernel. */

function element(parent, tag, className) {
  const node = document.createElement(tag);
  node.className = className;
  parent.append(node);
  return node;
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.childNodes];
}

/* By JupyterLab's typesetter, where there is one; elsewhere formulas show as their source until the end. */
function typeset(model, nodes) {
  const typesetter = model.widget_manager?.rendermime?.latexTypesetter;
  if (!typesetter) return;
  for (const node of nodes)
    for (const formula of node.querySelectorAll?.(".mathjax_process") ?? []) typesetter.typeset(formula);
}

function render({ model, el }) {
  const reasoning = element(el, "details", "cozeloop-reasoning");
  element(reasoning, "summary", "").textContent = "Reasoning";
  const thoughts = element(reasoning, "div", "");
  const answer = element(el, "div", "cozeloop-answer jp-RenderedHTMLCommon");
  const calls = element(el, "div", "");
  const status = element(el, "p", "cozeloop-status");
  status.setAttribute("role", "status");
  status.setAttribute("aria-live", "polite");
  let blocks = 0;
  let pieces = 0;
  let begun = false;
  let tail = { html: "", nodes: [] };

  function drawReasoning() {
    const last = model.get("thoughts") ?? 0;
    reasoning.hidden = last === 0;
    const atEnd = thoughts.scrollHeight - thoughts.scrollTop - thoughts.clientHeight < 8;
    for (; pieces < last; pieces++) thoughts.append(model.get(`r${pieces}`));
    if (atEnd) thoughts.scrollTop = thoughts.scrollHeight;
  }

  /* Settled blocks are put in once and left alone; the nodes of the tail come after them and are replaced. */
  function drawAnswer() {
    let html = "";
    for (let line = 0; line < model.get("tail"); line++) html += model.get(`t${line}`);
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
    drawReasoning();
    drawAnswer();
    foldReasoning();
    if (calls.innerHTML !== model.get("calls")) calls.innerHTML = model.get("calls");
    if (status.textContent !== model.get("status")) status.textContent = model.get("status");
  }

  reasoning.open = true;
  model.on("change", draw);
  draw();
  return () => model.off("change", draw);
}

export default { render };
