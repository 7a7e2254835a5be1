/* Draws the cells of a comparison as their texts grow (see grid.py). All of it is text; nothing here is markup. */

function render({ model, el }) {
  let alive = true;
  let gone = false;
  const heads = model.get("heads");
  const repeat = model.get("repeat");
  el.className = `${model.get("root")} cozeloop-comparison cozeloop-grid`;
  const notes = element(el, "div", "cozeloop-note cozeloop-notes");
  const table = element(el, "table", "");
  const head = element(element(table, "thead", ""), "tr", "");
  for (const name of ["input", ...heads]) element(head, "th", "", name);
  const body = element(table, "tbody", "");
  let cells = [];
  let shown = "";

  const pager = element(el, "div", "cozeloop-pager");
  const buttons = [
    button(pager, "‹", "Previous inputs", () => ask(model, "previous")),
    button(pager, "›", "Next inputs", () => ask(model, "next")),
  ];
  const which = element(pager, "span", "cozeloop-count");
  const follow = button(pager, "Follow", "Show what is under way", () => ask(model, "follow"));
  const filter = button(pager, "Only where they differ", "Show what is done and differs, what was lost first", () =>
    ask(model, "filter"),
  );
  buttons.push(follow, filter);

  const foot = element(el, "div", "cozeloop-foot");
  const status = element(foot, "div", "cozeloop-status", "");
  status.setAttribute("role", "status");
  const stopButton = button(foot, "Stop", "Stop the comparison; what came is kept", (node) => {
    node.disabled = true;
    stop(model, () => alive);
  });

  /* A cell takes in what is new of its text; what it has shown stays. */
  function cell(place, name) {
    const trial = element(place, "div", "cozeloop-trial");
    const said = element(trial, "span", "cozeloop-said", "");
    const end = element(trial, "div", "cozeloop-figures", "");
    let pieces = 0;
    return () => {
      for (let text; (text = model.get(`${name}_${pieces}`)) !== undefined; pieces++) said.append(text);
      const state = model.get(`${name}_state`) ?? "waiting";
      if (trial.dataset.state !== state) trial.dataset.state = state;
      const how = model.get(`${name}_end`) ?? "";
      if (end.textContent !== how) end.textContent = how;
    };
  }

  /* Another page has rows of its own. */
  function turn(inputs) {
    body.replaceChildren();
    cells = [];
    for (const input of inputs) {
      const row = element(body, "tr", "");
      element(row, "td", "cozeloop-input", model.get(`i${input}`));
      heads.forEach((_, variant) => {
        const place = element(row, "td", "");
        for (let i = 0; i < repeat; i++) cells.push(cell(place, `c${input}_${variant}_${i}`));
      });
    }
  }

  function draw() {
    if (gone) return;
    const inputs = model.get("shown");
    if (shown !== String(inputs)) turn(inputs);
    shown = String(inputs);
    for (const drawCell of cells) drawCell();
    if (status.textContent !== model.get("status")) status.textContent = model.get("status");
    if (notes.textContent !== model.get("notes")) notes.textContent = model.get("notes");
    pager.hidden = !model.get("pager");
    which.textContent = model.get("pager");
    follow.setAttribute("aria-pressed", model.get("follows") && !model.get("filters"));
    filter.setAttribute("aria-pressed", model.get("filters"));
  }

  const forget = onKernelGone(model.widget_manager?.kernel, () => {
    gone = true;
    el.classList.add("cozeloop-failed");
    stopButton.remove();
    pager.remove();
    status.textContent = "failed · the kernel ended: run the cell again, and only what is missing is run";
  });
  model.on("change", draw);
  draw();
  return () => {
    alive = false;
    forget();
    model.off("change", draw);
    for (const node of [stopButton, ...buttons]) node.remove();
  };
}

export default { render };
