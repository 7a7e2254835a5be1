/* Draws a run from the model's rows (see live.py). All HTML here was rendered, and escaped, by the kernel. */

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.childNodes];
}

const same = (one, other) =>
  one.nodeName === other.nodeName &&
  one.attributes.length === other.attributes.length &&
  [...one.attributes].every(({ name, value }) => other.getAttribute(name) === value);

/* Makes the children of `parent` from one on into others. What is the same stays, down to the text that grows: then a
   page has little to lay out and to paint, and what a reader has marked stays marked. */
function morph(parent, from, after, ignored) {
  const before = [...parent.childNodes].slice(from).filter((node) => node !== ignored);
  after.forEach((node, i) => {
    const old = before[i];
    if (!old) parent.append(node);
    else if (old.nodeType === Node.TEXT_NODE && node.nodeType === Node.TEXT_NODE) {
      if (node.data.startsWith(old.data)) old.appendData(node.data.slice(old.length));
      else old.data = node.data;
    } else if (old.nodeType === Node.ELEMENT_NODE && node.nodeType === Node.ELEMENT_NODE && same(old, node)) {
      if (!old.isEqualNode(node)) morph(old, 0, [...node.childNodes], ignored);
    } else old.replaceWith(node);
  });
  for (const node of before.slice(after.length)) node.remove();
}

/* Where the next word comes: the last block, and in it the last item or line. */
function growingEnd(answer) {
  let node = answer;
  for (let next = node; next?.matches(BLOCKS); next = node.lastElementChild) node = next;
  return node;
}

const BLOCKS = ".cozeloop-answer, ul, ol, li, blockquote, p, h1, h2, h3, h4, h5, h6, pre, pre > code";

/* The status line: each item wraps as a whole, and its dot with it. Only texts that changed are touched. Behind the first
   item stand the seconds that the page itself counts while nothing comes. */
function statusLine(node) {
  const items = [];
  const set = (text, said) => text.data !== said && (text.data = said);
  return {
    say(line) {
      const said = line.split(" · ");
      while (items.length > said.length) {
        const last = items.pop();
        last.span.nextSibling.remove();
        last.span.remove();
      }
      while (items.length < said.length) {
        const span = element(node, "span", "");
        const texts = [0, 1, 2].map(() => span.appendChild(new Text()));
        node.append(" ");
        items.push({ span, texts });
      }
      items.forEach(({ texts }, i) => {
        set(texts[0], said[i]);
        set(texts[2], i + 1 < said.length ? " ·" : "");
      });
    },
    count(seconds) {
      const minutes = Math.floor(seconds / 60);
      set(items[0].texts[1], seconds < 1 ? "" : minutes ? ` ${minutes} min ${seconds % 60} s` : ` ${seconds} s`);
    },
  };
}

/* Since when each run waits for what it waits for now: all views of it count the same. */
const waiting = new WeakMap();

function waited(model) {
  const what = model.get("waits_for");
  if (waiting.get(model)?.what !== what) waiting.set(model, { what, since: performance.now() });
  return Math.floor((performance.now() - waiting.get(model).since) / 1000);
}

/* Gives the rows from one number on, up to another or as many as there are. */
function pieces(model, row, from, to = Infinity) {
  const texts = [];
  for (let i = from, text; i < to && (text = model.get(`${row}${i}`)) !== undefined; i++) texts.push(text);
  return texts;
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

/* What a kernel that is gone has sent is in this page alone: a saved notebook would hold a dead widget. */
const HERE = "the text is in this page only";
const LOST = `failed, the answer is incomplete · the kernel ended, and ${HERE}: copy what you want to keep`;

/* JupyterLab does not know any more where to put what is kept: the cell was moved, or cut and pasted, or is in an
   Output widget, or the page was loaded after the answer began. */
const unsaved = (name) => `not saved, ${HERE}: a cell with ${name} shows and keeps it`;

/* What a screen reader reads out. It is one for all views of a run, so that each phase is heard once, and outlives them
   a little, to tell the end. */
function voice(name) {
  const shared = name && document.querySelector(`.cozeloop-spoken[data-run="${name}"]`);
  const node = shared || element(document.body, "span", "cozeloop-spoken");
  node.dataset.run = name;
  node.setAttribute("role", "status");
  node.setAttribute("aria-live", "polite");
  node.views = (node.views ?? 0) + 1;
  const leave = () => --node.views || node.remove();
  return {
    say(line) {
      if (node.textContent !== line) node.textContent = line;
    },
    leave: () => setTimeout(leave, 3000),
  };
}

/* Where JupyterLab shows a view: it puts the output that takes this one's place under the same number. */
function seatOf(el) {
  const place = el.closest(".jp-OutputArea-output");
  const child = place?.closest(".jp-OutputArea-child");
  const area = child?.parentElement;
  return area ? { place, area, index: [...area.children].indexOf(child) } : null;
}

/* What the reader has opened stays open in the output that takes this one's place. It may be there already. */
function handOver(el, { place, area, index }, opened, stays) {
  const open = () => {
    const taken = area.children[Math.min(index, area.children.length - 1)]; // the only one, where all was cleared
    for (const name of opened) for (const node of taken?.querySelectorAll(`.${name}`) ?? []) node.open = true;
  };
  const watch = new MutationObserver(open);
  watch.observe(area, { childList: true, subtree: true });
  open();
  setTimeout(() => watch.disconnect(), 1000);
  setTimeout(() => {
    // JupyterLab has put it there before it takes the view away, or does not know where to.
    if (!area.contains(place) || place.querySelector(".cozeloop-run")) return; // a cell out of sight is not in the page
    place.classList.remove("lm-mod-hidden"); // JupyterLab hides a widget's output with the widget
    place.append(el);
    stays();
  });
}

function render({ model, el }) {
  const reasoning = element(el, "details", "cozeloop-reasoning");
  element(reasoning, "summary", "", "Reasoning");
  const thoughts = element(reasoning, "div", "");
  const answer = element(el, "div", "cozeloop-answer jp-RenderedHTMLCommon");
  const fold = element(el, "details", "cozeloop-fold");
  element(fold, "summary", ""); // the style sheet names it
  const calls = element(el, "div", "cozeloop-calls");
  const foot = element(el, "div", "cozeloop-foot");
  const status = statusLine(element(foot, "p", "cozeloop-status"));
  const spoken = voice(model.get("control"));
  const request = element(el, "div", "");
  el.style.setProperty("--cz-fold", `${model.get("height")}px`);
  const caret = document.createElement("span");
  caret.className = "cozeloop-caret";
  let seat = null;
  let alive = true;
  let gone = false;
  let inSight = true;
  let later;
  let clock;
  let counted = "";
  let settled = 0;
  let thought = 0;
  let begun = false;
  let called = "";
  let asked = "";
  let tail = "";
  let first = 0; // node of the tail

  const copyButton = button(foot, "Copy", "Copy the answer so far as Markdown", async (node) => {
    await copy(pieces(model, "s", 0).join(""), foot);
    node.focus(); // the old command took the focus away
    node.textContent = "Copied";
    setTimeout(() => (node.textContent = "Copy"), 1500);
  });
  const stopButton = button(foot, "Stop", "Stop the answer; the text so far is kept", (node) => {
    node.textContent = "Stopping…";
    node.disabled = true;
    stop(model, () => alive);
  });

  function drawReasoning() {
    const more = pieces(model, "r", thought);
    thought += more.length;
    reasoning.hidden = thought === 0;
    if (more.length === 0) return;
    const atEnd = thoughts.scrollHeight - thoughts.scrollTop - thoughts.clientHeight < 8;
    thoughts.append(more.join(""));
    if (atEnd) thoughts.scrollTop = thoughts.scrollHeight;
  }

  /* Settled blocks are put in once and left alone; the nodes of the tail come after them and change. */
  function drawAnswer() {
    const more = pieces(model, "h", settled, model.get("settled"));
    const html = pieces(model, "h", model.get("settled"), model.get("end")).join("");
    if (more.length === 0 && html === tail) return;
    const block = parse(more.join(""));
    morph(answer, first, [...block, ...parse(html)], caret);
    first += block.length;
    settled += more.length;
    tail = html;
    const end = growingEnd(answer);
    if (end.lastChild !== caret) end.append(caret);
  }

  function drawCalls() {
    if (called === model.get("calls")) return;
    called = model.get("calls");
    calls.innerHTML = called;
  }

  function drawRequest() {
    if (asked === model.get("request")) return;
    asked = model.get("request");
    const open = request.querySelector("details")?.open;
    request.replaceChildren(...parse(asked));
    if (open) request.querySelector("details").open = true;
  }

  /* It is open until the answer begins, and after that where the reader opens it. */
  function foldReasoning() {
    answer.hidden = tail === "" && first === 0;
    const begins = !answer.hidden || model.get("calls") !== "";
    if (begins !== begun) reasoning.open = !begins;
    begun = begins;
  }

  function count() {
    const what = gone || !alive ? "" : model.get("waits_for");
    if (!what) waiting.delete(model);
    status.count(what ? waited(model) : 0);
    if (what === counted) return;
    counted = what;
    clearInterval(clock);
    if (what) clock = setInterval(count, 1000);
  }

  /* What nobody sees is drawn once a second. */
  function changed() {
    const goesOn = ["cozeloop-waiting", "cozeloop-streaming"].includes(model.get("css_class"));
    if (!goesOn || (inSight && !document.hidden)) draw();
    else later ??= setTimeout(draw, 1000);
  }

  const sight = new IntersectionObserver((entries) => {
    inSight = entries.at(-1).isIntersecting;
    if (inSight) draw();
  });
  sight.observe(foot);

  function draw() {
    later = clearTimeout(later);
    if (!alive) return;
    const kind = `${model.get("root")} ${model.get("css_class")}`;
    if (el.className !== kind) el.className = kind;
    seat ??= seatOf(el);
    drawReasoning();
    drawAnswer();
    foldReasoning();
    fold.hidden = !model.get("long");
    answer.classList.toggle("cozeloop-long", !fold.hidden);
    copyButton.hidden = !model.get("s0");
    drawCalls();
    drawRequest();
    status.say(model.get("status"));
    count();
    spoken.say(model.get("progress"));
  }

  function stays() {
    const goesOn = ["cozeloop-waiting", "cozeloop-streaming"].includes(model.get("css_class")); // only this view has ended
    if (gone || goesOn) return;
    el.classList.add("cozeloop-unsaved");
    const line = `${model.get("progress")} · ${unsaved(model.get("behind") ? "_loop.result()" : "_loop")}`;
    status.say(line);
    spoken.say(line);
  }

  function opened() {
    const names = [...el.querySelectorAll("details[open]")].map((node) => node.className);
    return begun ? names : names.filter((name) => name !== "cozeloop-reasoning");
  }

  const forget = onKernelGone(model.widget_manager?.kernel, () => {
    gone = true;
    el.className = `${model.get("root")} cozeloop-failed`;
    stopButton.remove();
    status.say(LOST);
    count();
    spoken.say(LOST);
  });
  reasoning.open = true;
  model.on("change", changed);
  document.addEventListener("visibilitychange", changed);
  draw();
  return () => {
    alive = false;
    count();
    forget();
    model.off("change", changed);
    document.removeEventListener("visibilitychange", changed);
    sight.disconnect();
    clearTimeout(later);
    spoken.leave();
    stopButton.remove();
    if (seat) handOver(el, seat, opened(), stays);
  };
}

export default { render };
