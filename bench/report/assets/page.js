"use strict";
// Figure and table of the report. All text from results goes through textContent; no
// markup is ever built from it. One state, one `update`: filters and legend act on
// figure and table alike.
(() => {
  const views = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const PAGE = 100;
  const PAIRS = [
    ["core_days", "top1"], ["core_days_measured", "top1"],
    ["param_count", "img_per_sec_core"], ["image_size", "img_per_sec_core"],
  ];
  // columns of the table as it opens: what it is, what it reached, then how and where
  const FIRST = ["model", "framework", "mode", "image_size", "batch_size", "img_per_sec_core",
    "low", "high", "n", "top1", "core_days", "core_days_measured", "unique_images", "dtype",
    "track", "variant", "seed", "repetition", "status", "study", "machine", "source",
    "param_count", "cautions", "error_message"];
  const FAMILIES = { mixer: "Mixer", vit: "ViT", resnet: "ResNet (BiT)",
    resnet_v1: "ResNet v1", other: "other" };
  const LOOKS = ["family", "framework", "source", "role"];
  const state = { view: null, key: -1, x: "", y: "", logX: false, logY: false,
    hidden: new Set(), words: "", filters: new Map(), shown: new Set(), sort: "",
    down: false, page: 0, at: -1 };
  let points = [];

  // Values ------------------------------------------------------------------

  for (const view of views) {
    view.by = new Map(view.columns.map((column) => [column.name, column]));
    view.order = view.columns.slice().sort((a, b) => rank(a.name) - rank(b.name));
  }
  function rank(name) {
    const at = FIRST.indexOf(name);
    return at < 0 ? FIRST.length : at;
  }
  function value(name, row) {
    const column = state.view.by.get(name);
    if (!column) return null;
    if (column.number) return column.values[row];
    return column.at[row] < 0 ? null : column.words[column.at[row]];
  }
  function shown(given) {
    if (given === null) return "—";
    if (typeof given !== "number") return given;
    const size = Math.abs(given);
    if (size !== 0 && (size < 1e-4 || size >= 1e15)) return given.toExponential();
    return given.toLocaleString("en-US", { maximumSignificantDigits: 15 });
  }
  function look(row, name) {
    const given = value(name, row);
    if (name !== "family") return given === null ? "none" : given;
    return given !== null && given in FAMILIES ? given : "other";
  }
  // on an axis 100,000,000 is 100M: its neighbours need the room
  const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 6 });
  function ticked(given) {
    return Math.abs(given) < 1e5 ? shown(given) : short.format(given);
  }
  function titled(column) {
    const unit = column.unit && column.unit !== "1" ? ` (${column.unit})` : "";
    return column.name + unit;
  }

  // Filters -----------------------------------------------------------------

  function test(column, text) {
    const asked = text.trim();
    if (asked === "=") return (given) => given === null;
    return column.number ? numberTest(asked) : wordTest(asked.toLowerCase());
  }
  function wordTest(asked) {
    if (asked.startsWith("=")) return (given) => given !== null && given.toLowerCase() === asked.slice(1).trim();
    if (asked.startsWith("!")) return (given) => given === null || !given.toLowerCase().includes(asked.slice(1).trim());
    return (given) => given !== null && given.toLowerCase().includes(asked);
  }
  function numberTest(asked) {
    const plain = asked.replaceAll(",", "");
    const span = plain.match(/^(\S+?)\.\.(\S+)$/);
    if (span && isNumber(span[1]) && isNumber(span[2])) {
      return (given) => given !== null && given >= +span[1] && given <= +span[2];
    }
    const [, sign, rest] = plain.match(/^(>=|<=|>|<|=|)\s*(.*)$/);
    if (!isNumber(rest)) return null;
    const bound = +rest;
    return (given) => given !== null && ({ ">": given > bound, "<": given < bound,
      ">=": given >= bound, "<=": given <= bound }[sign] ?? given === bound);
  }
  function isNumber(text) {
    return text !== "" && Number.isFinite(+text);
  }
  function kept() {
    const tests = [];
    for (const [name, text] of state.filters) {
      const column = state.view.by.get(name);
      const passes = column && test(column, text);
      if (passes) tests.push([name, passes]);
    }
    const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
    const texts = state.view.columns.filter((column) => !column.number);
    const lower = words.length ? texts.map((c) => c.words.map((w) => w.toLowerCase())) : [];
    const found = [];
    for (let row = 0; row < state.view.rows; row++) {
      if (LOOKS.some((name) => state.hidden.has(`${name}:${look(row, name)}`))) continue;
      if (!tests.every(([name, passes]) => passes(value(name, row)))) continue;
      const holds = (word) => texts.some((c, i) => c.at[row] >= 0 && lower[i][c.at[row]].includes(word));
      if (words.every(holds)) found.push(row);
    }
    return found;
  }

  // Elements ----------------------------------------------------------------

  function make(name, attributes = {}, ...children) {
    return fill(document.createElement(name), attributes, children);
  }
  function draw(name, attributes = {}, ...children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  }
  function fill(element, attributes, children) {
    for (const [name, given] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), given);
      else if (given !== false && given !== null) element.setAttribute(name, given === true ? "" : given);
    }
    element.append(...children);
    return element;
  }
  function choice(label, id, options, chosen, act) {
    const select = make("select", { id, onchange: () => act(select.value) });
    for (const [given, text] of options) {
      select.append(make("option", { value: given, selected: String(given) === String(chosen) }, text));
    }
    return make("label", {}, label, select);
  }
  function flag(label, id, on, act) {
    const box = make("input", { type: "checkbox", id, onchange: () => act(box.checked) });
    box.checked = on;
    return make("label", { class: "flag" }, box, label);
  }

  // Controls ----------------------------------------------------------------

  function pickView(name) {
    const view = views.find((each) => each.name === name);
    Object.assign(state, { view, page: 0, sort: "", words: "", filters: new Map(), hidden: new Set() });
    const known = view.order.filter((column) => rank(column.name) < FIRST.length);
    state.shown = new Set(known.map((column) => column.name));
    pickKey(bestKey());
  }
  function both(key, x, y) {
    let count = 0;
    for (let row = 0; row < state.view.rows; row++) {
      if (state.view.key[row] === key && value(x, row) !== null && value(y, row) !== null) count++;
    }
    return count;
  }
  function bestKey() {
    const counts = state.view.keys.map((_, key) => Math.max(...PAIRS.map(([x, y]) => both(key, x, y))));
    const own = counts.slice(0, state.view.own);
    const among = own.some((count) => count > 0) ? own : counts;
    return Math.max(0, among.indexOf(Math.max(...among)));
  }
  function pickKey(key) {
    const counts = PAIRS.map(([x, y]) => both(key, x, y));
    const at = counts.findIndex((count) => count > 0);
    const [x, y] = at < 0 ? axes(key).slice(0, 2) : PAIRS[at];
    Object.assign(state, { key, x, y: y ?? x });
    state.logX = spreads(state.x);
    state.logY = spreads(state.y);
    controls();
    update();
  }
  function axes(key) {
    const rows = state.view.key.flatMap((each, row) => (each === key ? [row] : []));
    const numbers = state.view.order.filter((column) => column.number);
    return numbers.map((c) => c.name).filter((name) => rows.some((row) => value(name, row) !== null));
  }
  function spreads(name) {
    const known = inKey().map((row) => value(name, row)).filter((given) => given !== null);
    const low = known.reduce((a, b) => Math.min(a, b), Infinity);
    const high = known.reduce((a, b) => Math.max(a, b), -Infinity);
    return low > 0 && high / low > 5;
  }
  function inKey(rows = state.view.key.keys()) {
    return [...rows].filter((row) => state.view.key[row] === state.key);
  }
  function controls() {
    const named = axes(state.key).map((name) => [name, titled(state.view.by.get(name))]);
    const axis = (letter) => choice(letter, `axis-${letter}`, named, state[letter], (given) => {
      state[letter] = given;
      state[letter === "x" ? "logX" : "logY"] = spreads(given);
      controls();
      update();
    });
    find("controls").replaceChildren(
      choice("points", "view", views.map((v) => [v.name, `${v.name} (${v.rows.toLocaleString("en-US")})`]), state.view.name, pickView),
      choice("comparable rows", "key", state.view.keys.map((name, at) => [at, name]), state.key, (given) => pickKey(+given)),
      axis("x"), axis("y"),
      flag("log x", "log-x", state.logX, (on) => { state.logX = on; update(); }),
      flag("log y", "log-y", state.logY, (on) => { state.logY = on; update(); }),
    );
    legend();
    filters();
  }
  function legend() {
    const buttons = [];
    for (const name of LOOKS) {
      if (!state.view.by.has(name)) continue;
      const found = new Set();
      for (let row = 0; row < state.view.rows; row++) found.add(look(row, name));
      if (found.size < 2 && (name === "role" || name === "source")) continue;
      for (const given of found) buttons.push(entry(name, given));
    }
    find("legend").replaceChildren(...buttons);
  }
  function entry(name, given) {
    const id = `${name}:${given}`;
    const family = name === "family" ? given : "plain";
    const sample = draw("svg", { width: 14, height: 14, "aria-hidden": "true" });
    sample.append(mark(7, 7, family, name === "framework" ? given : "jax", name === "source" ? given : "measured"));
    const text = name === "family" ? FAMILIES[given] : `${given === "none" ? `no ${name}` : given}`;
    const button = make("button", { type: "button", "aria-pressed": String(!state.hidden.has(id)),
      "data-look": id, onclick: () => {
        if (!state.hidden.delete(id)) state.hidden.add(id);
        button.setAttribute("aria-pressed", String(!state.hidden.has(id)));
        state.page = 0;
        update();
      } }, ...(name === "role" ? [] : [sample]), text);
    return button;
  }

  // Figure ------------------------------------------------------------------

  const EDGE = { left: 74, right: 16, top: 24, bottom: 44 };

  function figure(rows) {
    const wide = Math.max(280, find("figure").clientWidth);
    const high = Math.min(480, Math.max(280, wide * 0.55));
    const here = inKey(rows).map((row) => ({ row, x: value(state.x, row), y: value(state.y, row) }));
    const known = here.filter((p) => p.x !== null && p.y !== null);
    points = known.filter((p) => (!state.logX || p.x > 0) && (!state.logY || p.y > 0));
    const svg = draw("svg", { viewBox: `0 0 ${wide} ${high}`, height: high, tabindex: 0, role: "application",
      "aria-label": `${state.y} against ${state.x}, ${points.length} points. Arrow keys move from point to point, Enter opens the record.` });
    if (points.length) fillFigure(svg, wide, high);
    const tip = make("div", { id: "tip", hidden: true });
    find("figure").replaceChildren(svg, tip);
    listen(svg, tip, wide, high);
    state.at = -1;
    say(here.length, known.length);
  }
  function say(here, known) {
    const said = [`${points.length.toLocaleString("en-US")} points of ${state.view.keys[state.key]}`];
    if (known > points.length) said.push(`${known - points.length} not above 0 are left out of a log axis`);
    if (here > known) said.push(state.x ? `${here - known} rows lack ${state.x} or ${state.y}` : "no row holds a number to draw");
    for (const letter of ["x", "y"]) {
      const column = state.view.by.get(state[letter]);
      if (column) said.push(`${letter}: ${column.doc || column.name}`);
    }
    find("said").textContent = `${said.join("; ")}.`;
  }
  function fillFigure(svg, wide, high) {
    const bars = state.view.bars[state.y];
    const scaleX = scale(points.map((p) => p.x), state.logX, EDGE.left, wide - EDGE.right);
    const ends = bars ? points.flatMap((p) => bars.map((name) => value(name, p.row))) : [];
    const spread = [...points.map((p) => p.y), ...ends.filter((end) => end !== null && (!state.logY || end > 0))];
    const scaleY = scale(spread, state.logY, high - EDGE.bottom, EDGE.top);
    grid(svg, scaleX, scaleY, wide, high);
    const order = points.sort((a, b) => a.x - b.x || a.y - b.y || a.row - b.row);
    const marks = document.createDocumentFragment();
    for (const point of order) {
      point.px = scaleX.at(point.x);
      point.py = scaleY.at(point.y);
      if (bars) bar(marks, point, bars, scaleY);
      marks.append(mark(point.px, point.py, look(point.row, "family"), look(point.row, "framework"), look(point.row, "source")));
    }
    svg.append(marks, draw("circle", { id: "ring", r: 8, visibility: "hidden" }));
    if (points.some((point) => state.view.demo.includes(value("model", point.row)))) {
      svg.append(draw("text", { class: "note", x: wide - EDGE.right, y: EDGE.top - 8, "text-anchor": "end" }, state.view.note));
    }
  }
  function bar(marks, point, names, scaleY) {
    const [low, high] = names.map((name) => value(name, point.row));
    if (low === null || high === null || (state.logY && low <= 0)) return;
    marks.append(draw("line", { class: `bar ${look(point.row, "family")}`, x1: point.px, x2: point.px, y1: scaleY.at(low), y2: scaleY.at(high) }));
  }
  function mark(x, y, family, framework, source) {
    const name = `point ${family} ${source === "published" ? "published" : ""}`;
    if (framework === "jax") return draw("circle", { class: name, cx: x, cy: y, r: 4 });
    if (framework === "torch") return draw("rect", { class: name, x: x - 3.6, y: y - 3.6, width: 7.2, height: 7.2 });
    return draw("path", { class: name, d: `M${x} ${y - 5}l5 5l-5 5l-5 -5z` });
  }
  function scale(values, log, from, to) {
    let low = values.reduce((a, b) => Math.min(a, b));
    let high = values.reduce((a, b) => Math.max(a, b));
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - Math.abs(low) / 2 - 1e-9, high + Math.abs(high) / 2 + 1e-9];
    const into = log ? Math.log10 : (v) => v;
    const pad = 0.05 * (into(high) - into(low));
    const [a, b] = [into(low) - pad, into(high) + pad];
    const at = (v) => from + ((into(v) - a) / (b - a)) * (to - from);
    const most = Math.abs(to - from) / (from < to ? 64 : 40);
    return { at, ticks: log ? logTicks(10 ** a, 10 ** b, most) : ticks(a, b, most) };
  }
  function ticks(low, high, most) {
    const rough = (high - low) / most;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((digit) => digit * unit >= rough);
    const first = Math.ceil(low / step);
    const found = [];
    for (let i = first; i * step <= high; i++) found.push(+(i * step).toPrecision(12));
    return found;
  }
  function logTicks(low, high, most) {
    const from = Math.floor(Math.log10(low));
    const to = Math.ceil(Math.log10(high));
    for (let step = 1; step <= to - from + 1; step++) {
      for (const digits of step === 1 ? [[1, 2, 5], [1, 3], [1]] : [[1]]) {
        const found = [];
        for (let e = from; e <= to; e += step) for (const d of digits) found.push(+(d * 10 ** e).toPrecision(3));
        const inside = found.filter((v) => v >= low && v <= high);
        if (inside.length >= 3 && inside.length <= most) return inside;
      }
    }
    const few = high / low < 10 ? ticks(low, high, Math.min(most, 4)) : [];
    const decades = [Math.ceil(Math.log10(low)), Math.floor(Math.log10(high))];
    return few.length ? few : [...new Set(decades.map((e) => 10 ** e))];
  }
  function grid(svg, scaleX, scaleY, wide, high) {
    const foot = high - EDGE.bottom;
    for (const tick of scaleX.ticks) {
      const x = scaleX.at(tick);
      svg.append(draw("line", { class: "tick", x1: x, x2: x, y1: EDGE.top, y2: foot }),
        draw("text", { x, y: foot + 16, "text-anchor": "middle" }, ticked(tick)));
    }
    for (const tick of scaleY.ticks) {
      const y = scaleY.at(tick);
      svg.append(draw("line", { class: "tick", x1: EDGE.left, x2: wide - EDGE.right, y1: y, y2: y }),
        draw("text", { x: EDGE.left - 6, y: y + 4, "text-anchor": "end" }, ticked(tick)));
    }
    const [x, y] = [state.x, state.y].map((name) => titled(state.view.by.get(name)));
    const middle = (EDGE.top + foot) / 2;
    svg.append(draw("text", { x: (EDGE.left + wide - EDGE.right) / 2, y: high - 6, "text-anchor": "middle" }, x),
      draw("text", { x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, y));
  }
  function listen(svg, tip, wide, high) {
    const near = (event) => {
      const box = svg.getBoundingClientRect();
      const [x, y] = [((event.clientX - box.left) * wide) / box.width, ((event.clientY - box.top) * high) / box.height];
      let best = [-1, 20];
      points.forEach((point, at) => {
        const apart = Math.hypot(point.px - x, point.py - y);
        if (apart < best[1]) best = [at, apart];
      });
      return best[0];
    };
    svg.addEventListener("pointermove", (event) => point(near(event), tip, wide));
    svg.addEventListener("pointerleave", () => point(-1, tip, wide));
    svg.addEventListener("click", (event) => open(points[near(event)]?.row));
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
      if (event.key in steps && points.length) {
        event.preventDefault();
        const from = state.at < 0 ? (steps[event.key] > 0 ? -1 : 0) : state.at;
        point((from + steps[event.key] + points.length) % points.length, tip, wide);
      } else if (event.key === "Enter") open(points[state.at]?.row);
      else if (event.key === "Escape") point(-1, tip, wide);
    });
  }
  function point(at, tip, wide) {
    state.at = at;
    const ring = find("ring");
    tip.hidden = at < 0;
    if (!ring) return;
    ring.setAttribute("visibility", at < 0 ? "hidden" : "visible");
    if (at < 0) return;
    const { px, py, row } = points[at];
    ring.setAttribute("cx", px);
    ring.setAttribute("cy", py);
    const names = ["model", "framework", "study", "image_size", "batch_size", "dtype", "unique_images", "seed", "repetition", "n"];
    const about = [...new Set([...names, state.x, state.y])].filter((name) => value(name, row) !== null);
    tip.textContent = about.map((name) => `${titled(state.view.by.get(name))}: ${shown(value(name, row))}`).join("\n");
    find("said").textContent = tip.textContent.replaceAll("\n", "; ");
    const box = find("figure").clientWidth / wide;
    if (px > wide / 2) Object.assign(tip.style, { left: "", right: `${(wide - px) * box + 12}px` });
    else Object.assign(tip.style, { right: "", left: `${px * box + 12}px` });
    tip.style.top = `${py * box}px`;
  }
  function open(row) {
    if (row === undefined) return;
    const list = make("dl");
    for (const column of state.view.order) {
      const given = value(column.name, row);
      if (given !== null) list.append(make("dt", { title: column.doc }, titled(column)), make("dd", {}, shown(given)));
    }
    const before = document.activeElement;
    const panel = find("record");
    const shut = () => { panel.hidden = true; before.focus(); };
    const close = make("button", { type: "button", onclick: shut }, "close");
    panel.onkeydown = (event) => { if (event.key === "Escape") shut(); };
    panel.replaceChildren(make("h3", {}, "Record"), close, list);
    panel.hidden = false;
    panel.focus();
  }

  // Table -------------------------------------------------------------------

  function filters() {
    const words = make("input", { type: "search", id: "words", value: state.words, oninput: () => {
      state.words = words.value;
      state.page = 0;
      update();
    } });
    const set = make("fieldset", {}, make("legend", {}, "Columns of the table"));
    for (const column of state.view.order) {
      set.append(flag(titled(column), `show-${column.name}`, state.shown.has(column.name), (on) => {
        if (on) state.shown.add(column.name); else state.shown.delete(column.name);
        head();
        update();
      }));
    }
    find("filters").replaceChildren(make("label", {}, "rows with these words", words),
      make("button", { type: "button", id: "clear", onclick: () => {
        Object.assign(state, { words: "", filters: new Map(), hidden: new Set(), page: 0 });
        controls();
        update();
      } }, "clear filters"),
      make("details", {}, make("summary", {}, "columns"), set));
    head();
  }
  function head() {
    const titles = make("tr", {}, make("th", { scope: "col" }, "record"));
    const asks = make("tr", {}, make("td"));
    for (const column of state.view.order.filter((each) => state.shown.has(each.name))) {
      titles.append(sorter(column));
      asks.append(make("td", {}, filter(column)));
    }
    const body = make("tbody");
    find("rows").replaceChildren(make("table", {}, make("thead", {}, titles, asks), body));
  }
  function sorter(column) {
    const sorted = state.sort === column.name;
    const button = make("button", { type: "button", title: column.doc, "data-sort": column.name, onclick: () => {
      state.down = state.sort === column.name && !state.down;
      Object.assign(state, { sort: column.name, page: 0 });
      head();
      update();
      document.querySelector(`[data-sort="${CSS.escape(column.name)}"]`).focus();
    } }, column.name + (sorted ? (state.down ? " ▼" : " ▲") : ""));
    return make("th", { scope: "col", class: column.number ? "number" : "text", "aria-sort": sorted ? (state.down ? "descending" : "ascending") : "none" }, button,
      make("small", {}, column.unit === "1" ? "" : column.unit));
  }
  function filter(column) {
    const box = make("input", { type: "text", value: state.filters.get(column.name) ?? "", "data-filter": column.name,
      "aria-label": `filter ${column.name}`, placeholder: column.number ? ">n, a..b" : "text, !text, =text",
      oninput: () => {
        if (box.value.trim()) state.filters.set(column.name, box.value); else state.filters.delete(column.name);
        const wrong = box.value.trim() && test(column, box.value) === null;
        box.setAttribute("aria-invalid", String(Boolean(wrong)));
        box.title = wrong ? "give a number, >n, <n, a..b, or = for missing" : "";
        state.page = 0;
        update();
      } });
    return box;
  }
  function compare(a, b) {
    const [one, two] = [value(state.sort, a), value(state.sort, b)];
    if (one === null || two === null) return one === two ? a - b : one === null ? 1 : -1;
    const order = typeof one === "number" ? one - two : one < two ? -1 : one > two ? 1 : 0;
    return (state.down ? -order : order) || a - b;
  }
  function table(rows) {
    const sorted = state.sort ? rows.slice().sort(compare) : rows;
    const from = state.page * PAGE;
    const shownColumns = state.view.order.filter((column) => state.shown.has(column.name));
    const lines = sorted.slice(from, from + PAGE).map((row) => {
      const button = make("button", { type: "button", "aria-label": `open record ${row + 1}`, onclick: () => open(row) }, String(row + 1));
      const cells = shownColumns.map((column) => make("td", { class: column.number ? "number" : "text" }, shown(value(column.name, row))));
      return make("tr", {}, make("td", {}, button), ...cells);
    });
    document.querySelector("#rows tbody").replaceChildren(...lines);
    const all = state.view.rows.toLocaleString("en-US");
    find("count").textContent = `${rows.length.toLocaleString("en-US")} of ${all} rows`
      + (rows.length > PAGE ? `; ${from + 1} to ${Math.min(from + PAGE, rows.length)} shown` : "");
    const turn = (text, by, off) => make("button", { type: "button", disabled: off, onclick: () => { state.page += by; update(); } }, text);
    find("pages").replaceChildren(...(rows.length > PAGE
      ? [turn("previous rows", -1, from === 0), turn("next rows", 1, from + PAGE >= rows.length)] : []));
  }

  function update() {
    const rows = kept();
    figure(rows);
    table(rows);
  }
  for (const button of document.querySelectorAll("button.show")) {
    button.addEventListener("click", () => {
      pickView("attempts");
      state.filters.set(button.dataset.column, button.dataset.asked);
      state.shown.add(button.dataset.column);
      controls();
      update();
      find("section-table").scrollIntoView();
      find("rows").focus({ preventScroll: true });
    });
  }
  // a folded part is not printed, so it is opened for the paper
  const folded = [];
  addEventListener("beforeprint", () => {
    folded.push(...document.querySelectorAll("main details:not([open]):not(#filters *)"));
    for (const one of folded) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of folded.splice(0)) one.open = false;
  });
  pickView(views[0].name);
  let width = find("figure").clientWidth;
  addEventListener("resize", () => {
    if (find("figure").clientWidth === width) return;
    width = find("figure").clientWidth;
    figure(kept());
  });
})();
