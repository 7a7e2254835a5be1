/* Shows two answers side by side and takes which is better (see rating.py). All of it is text. */

const KEYS = { ArrowLeft: "first", ArrowRight: "second", "=": "neither", ArrowDown: "neither", Backspace: "back" };

function render({ model, el }) {
  el.className = `${model.get("root")} cozeloop-comparison cozeloop-rating`;
  el.tabIndex = 0;
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", "Which answer is better? Left arrow, right arrow, or = for neither");
  const press = (what) => model.send({ press: what, at: model.get("at") });

  const head = element(el, "div", "cozeloop-asked");
  element(head, "strong", "", "Which answer is better?");
  const count = element(head, "span", "cozeloop-count");
  count.setAttribute("role", "status");
  const bar = element(head, "progress", "");
  const given = element(el, "div", "cozeloop-given");
  const expected = element(el, "div", "cozeloop-expected");
  const pair = element(el, "div", "cozeloop-pair");
  const sides = ["first", "second"].map((name) => {
    const side = element(pair, "div", "cozeloop-side");
    side.addEventListener("dblclick", () => press(name));
    return side;
  });
  const row = element(el, "div", "cozeloop-presses");
  const buttons = [
    button(row, "← Left", "The left answer is better", () => press("first")),
    button(row, "= Neither", "Neither is better", () => press("neither")),
    button(row, "Right →", "The right answer is better", () => press("second")),
    button(row, "Back", "Rate the last pair again", () => press("back")),
    button(row, "End", "Rate no more, and show whose answers were preferred", () => press("end")),
  ];
  const problem = element(el, "div", "cozeloop-error");

  function draw() {
    const [at, of] = [model.get("at"), model.get("of")];
    count.textContent = `${at + 1} of ${of} · press ← = →`;
    bar.max = of;
    bar.value = at;
    given.textContent = model.get("input");
    expected.textContent = model.get("expected") ? `expected: ${model.get("expected")}` : "";
    sides[0].textContent = model.get("first");
    sides[1].textContent = model.get("second");
    problem.textContent = model.get("problem");
    buttons[3].disabled = at === 0;
  }

  function heard(event) {
    const what = KEYS[event.key];
    if (!what || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) press(what);
  }

  // JupyterLab would take the arrows to fold headings; what is pressed with Ctrl or Cmd, to save say, is its own.
  const spare = (event) => el.toggleAttribute("data-lm-suppress-shortcuts", !event.ctrlKey && !event.metaKey);
  const forget = onKernelGone(model.widget_manager?.kernel, () => {
    for (const node of buttons) node.remove();
    problem.textContent = "The kernel ended. What was rated is kept: run the comparison with --cache and this cell again.";
  });
  el.addEventListener("keydown", heard);
  window.addEventListener("keydown", spare, true); // before JupyterLab, which listens on the document
  model.on("change", draw);
  draw();
  requestAnimationFrame(() => el.focus({ preventScroll: true }));
  return () => {
    forget();
    el.removeEventListener("keydown", heard);
    window.removeEventListener("keydown", spare, true);
    model.off("change", draw);
    for (const node of buttons) node.remove();
  };
}

export default { render };
