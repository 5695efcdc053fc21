"use strict";
// Text from builds is only assigned to textContent, never parsed as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const el = (name, props = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(props)) {
      if (key === "class") made.className = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value);
    }
    made.append(...children.filter((c) => c !== null && c !== undefined));
    return made;
  };
  const drawn = (name, props, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(props)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const GLYPH = { good: "✓", bad: "✗", flaky: "≈", weak: "?", skip: "»", infra: "!", none: "·" };
  const symbol = (css) => el("span", { class: `sym ${css}`, "aria-hidden": "true" }, GLYPH[css] || "?");

  // A region that scrolls fades towards the sides on which there is more.
  const SIDES = ["left", "right", "up", "down"];
  const cue = (box) => {
    const look = () => {
      const right = box.scrollWidth - box.clientWidth - box.scrollLeft, down = box.scrollHeight - box.clientHeight - box.scrollTop;
      const more = [box.scrollLeft, right, box.scrollTop, down];
      SIDES.forEach((side, n) => box.classList.toggle(`more-${side}`, more[n] > 1));
    };
    box.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(box);
    if (box.firstElementChild) new ResizeObserver(look).observe(box.firstElementChild);
    return box;
  };
  all(".scroll").forEach(cue);

  // Commands are copied where the browser allows it, and selected elsewhere.
  all(".copy").forEach((button) => {
    const command = button.parentElement.querySelector("pre");
    button.hidden = false;
    button.addEventListener("click", () => {
      const told = (text) => {
        button.textContent = text;
        setTimeout(() => { button.textContent = "copy"; }, 2000);
      };
      const select = () => { getSelection().selectAllChildren(command); told("selected"); };
      if (!navigator.clipboard) { select(); return; }
      navigator.clipboard.writeText(command.textContent).then(() => told("copied"), select);
    });
  });

  // Filters hide rows and columns, and fade cells of other outcomes.
  const form = document.querySelector(".filters");
  const table = document.querySelector(".matrix");
  // On a phone the matrix comes first.
  if (matchMedia("(max-width: 600px)").matches) document.querySelector(".narrow").open = false;
  const heads = all("thead tr:last-child th", table).slice(1);
  const rows = all("tbody tr", table);
  const apply = () => {
    const shown = new Set(all("[name=css]:checked", form).map((box) => box.value));
    const axes = all("[name=axis]", form).filter((s) => s.value).map((s) => [s.dataset.axis, s.value]);
    const value = (name) => (form.elements[name] ? form.elements[name].value : "");
    const scenario = value("scenario"), patch = value("patch"), variant = value("variant").toLowerCase();
    const visible = heads.map((head) => {
      const has = new Map(JSON.parse(head.dataset.axes));
      return (!scenario || head.dataset.scenario === scenario) &&
        axes.every(([name, wanted]) => !has.has(name) || has.get(name) === wanted);
    });
    heads.forEach((head, n) => { head.hidden = !visible[n]; });
    all(".scenarios th", table).forEach((head) => {
      const own = heads.filter((h, n) => visible[n] && h.dataset.scenario === head.dataset.scenario);
      head.hidden = !own.length;
      head.colSpan = Math.max(1, own.length);
    });
    let cells = 0, lines = 0;
    for (const row of rows) {
      const patches = row.dataset.patches;
      let any = false;
      [...row.children].slice(1).forEach((cell, n) => {
        cell.hidden = !visible[n];
        const css = cell.classList[0], match = css === "none" || shown.has(css);
        cell.classList.toggle("faded", !match);
        if (visible[n] && match && css !== "none") { any = true; cells += 1; }
      });
      row.hidden = !any || !row.dataset.variant.toLowerCase().includes(variant) ||
        (patch === "-" ? patches !== "" : patch !== "" && !patches.split(" ").includes(patch));
      if (!row.hidden) lines += 1;
    }
    form.querySelector("output").textContent = `${lines} of ${rows.length} variants`;
    rove();
  };
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());

  // Keyboard: Tab enters the matrix once, arrows move within it; Enter opens, Escape closes.
  const buttonAt = (row, column) => row && row.children[column] && row.children[column].querySelector("button");
  const rove = (target) => {
    const seen = all("button[data-cell]", table).filter((b) => !b.closest("[hidden]"));
    const now = target || seen.find((b) => b.tabIndex === 0) || seen[0];
    for (const button of all("button[data-cell]", table)) button.tabIndex = button === now ? 0 : -1;
  };
  const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  table.addEventListener("keydown", (event) => {
    const step = STEPS[event.key], here = event.target.closest("td");
    if (!step || !here) return;
    event.preventDefault();
    const lines = rows.filter((r) => !r.hidden);
    let r = lines.indexOf(here.parentElement) + step[0], c = here.cellIndex + step[1];
    while (lines[r] && lines[r].children[c] && c > 0) {
      const button = buttonAt(lines[r], c);
      if (button && !lines[r].children[c].hidden) { rove(button); button.focus(); return; }
      r += step[0]; c += step[1];
    }
  });

  // A cell's evidence.
  const dialog = document.getElementById("evidence"), body = dialog.querySelector(".body");
  const open = (number) => {
    const cell = data.cells[number];
    dialog.querySelector("h2").textContent = cell.title;
    body.replaceChildren(...evidence(cell));
    body.scrollTop = 0;
    if (!dialog.open) dialog.showModal();
    history.replaceState(null, "", `#cell-${number}`);
  };
  document.querySelector("main").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-cell]");
    if (!button) return;
    // The dialog gives the focus back by itself to what had it, and Safari does not focus a button
    // that is clicked. Done on the close event, it comes late and takes the focus from where Tab went.
    button.focus();
    if (table.contains(button)) rove(button);
    open(Number(button.dataset.cell));
  });
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", "#");
  });

  const evidence = (cell) => {
    const made = [
      el("p", { class: "verdict" }, symbol(cell.css), el("b", {}, cell.outcome), ` ${cell.tally}`),
      el("p", {}, cell.reason),
    ];
    const box = el("div");
    if (cell.trials.length > 1) {
      const tabs = cell.trials.map((trial, n) => el("button", {
        type: "button", "aria-pressed": String(n === 0),
        onclick: () => {
          tabs.forEach((tab, m) => tab.setAttribute("aria-pressed", String(m === n)));
          box.replaceChildren(...trialOf(trial, cell.control));
        },
      }, symbol(trial.css), ` trial: ${trial.outcome}`));
      made.push(el("div", { class: "tabs" }, ...tabs));
    }
    if (cell.trials.length) box.append(...trialOf(cell.trials[0], cell.control));
    made.push(box);
    if (cell.log) {
      made.push(el("h3", {}, "compile output"), logOf(cell.log.lines.map((line) => [line, 1])));
      if (cell.log.href) made.push(el("p", {}, el("a", { href: cell.log.href }, "full log")));
    }
    if (cell.build.length) made.push(el("p", { class: "dim" }, cell.build.join(" · ")));
    return made;
  };

  const trialOf = (trial, control) => {
    const made = [];
    for (const step of trial.steps) {
      const graph = data.pool[step.graph];
      if (graph.length) made.push(el("h3", {}, `cache records after step ${step.id}`), ...graphOf(graph, control));
    }
    made.push(el("h3", {}, "steps"), el("div", { class: "steps" }, ...trial.steps.map((step) => {
      const errors = data.pool[step.error];
      return el("div", { class: "step" },
        el("h3", {}, symbol(step.failed ? "bad" : "good"), ` ${step.id}: ${step.ended}`, el("small", {}, ` ${step.seconds} s`)),
        el("ul", { class: "vertices" }, ...data.pool[step.vertices].map(([state, name, error, printed]) =>
          el("li", { class: `v-${state}` }, el("b", {}, state), name, error ? el("em", {}, error) : null,
            printed.length ? logOf(printed.map((line) => [line, 1])) : null))),
        errors.length ? logOf(errors.map((line) => [line, 1])) : null);
    })));
    const daemon = data.pool[trial.daemon];
    if (daemon.length) made.push(el("h3", {}, "daemon log: warnings and errors"), logOf(daemon));
    if (trial.files.length) made.push(el("p", {}, "files: ", ...trial.files.flatMap(([name, link]) => [el("a", { href: link }, name), " "])));
    made.push(el("p", { class: "dim" }, `${trial.seconds} s${trial.at ? `, ended ${trial.at}` : ""}${trial.reused ? ", reused from an earlier campaign" : ""}`));
    return made;
  };

  // Lines are [text, whether good trials do not have it].
  const logOf = (lines) => {
    const log = el("div", { class: "log", tabindex: "0", role: "log", "aria-label": "log" });
    const show = (wanted) => {
      log.replaceChildren(...lines.filter(([line]) => line.toLowerCase().includes(wanted)).map(([line, matters]) => {
        const row = el("div", { class: matters ? "" : "dull" });
        if (!wanted) { row.textContent = line; return row; }
        let rest = line;
        for (let at = rest.toLowerCase().indexOf(wanted); at >= 0; at = rest.toLowerCase().indexOf(wanted)) {
          row.append(rest.slice(0, at), el("mark", {}, rest.slice(at, at + wanted.length)));
          rest = rest.slice(at + wanted.length);
        }
        row.append(rest);
        return row;
      }));
    };
    show("");
    if (lines.length < 6) return log;
    const input = el("input", { type: "search", placeholder: `search ${lines.length} lines`, "aria-label": "search the log" });
    input.addEventListener("input", () => show(input.value.toLowerCase()));
    return el("div", {}, input, log);
  };

  // Records are boxes, with their dependencies to the left.
  const graphOf = (nodes, control) => {
    const W = 176, H = 46, GX = 44, GY = 14, depth = new Map(), at = [];
    nodes.forEach(([, , , , d]) => depth.set(d, depth.get(d) || 0));
    const columns = [...depth.keys()].sort((a, b) => a - b);
    nodes.forEach((node, n) => {
      const column = columns.indexOf(node[4]), line = depth.get(node[4]);
      depth.set(node[4], line + 1);
      at[n] = [8 + column * (W + GX), 8 + line * (H + GY)];
    });
    const width = 16 + columns.length * (W + GX) - GX, height = 16 + Math.max(...depth.values()) * (H + GY) - GY;
    const edges = [], boxes = [], lost = [];
    nodes.forEach(([id, here, there, inputs], n) => {
      const [x, y] = at[n];
      for (const input of inputs) {
        const [ix, iy] = at[input];
        edges.push(drawn("path", { class: "edge", d: `M${ix + W} ${iy + H / 2}C${ix + W + GX / 2} ${iy + H / 2} ${x - GX / 2} ${y + H / 2} ${x} ${y + H / 2}` }));
      }
      const bare = here === null && !there, dropped = there > (here || 0);
      const says = dropped ? `${here === null ? "RECORD" : "LAYERS"} MISSING (${here ? `${there - here} of ` : ""}${there})` : bare ? "only in the control" : here ? plural(here, "layer") : "no result";
      if (dropped) lost.push(id);
      const box = drawn("g", { class: dropped ? "lost" : bare ? "bare" : here ? "has" : "plain", transform: `translate(${x} ${y})` },
        drawn("rect", { width: W, height: H, rx: 6 }),
        drawn("text", { x: 10, y: 18 }), drawn("text", { x: 10, y: 36 }));
      box.children[1].textContent = id;
      box.children[2].textContent = (dropped ? "✗ " : here ? "✓ " : "· ") + says;
      boxes.push(box);
    });
    const picture = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": lost.length ? `records without their layers: ${lost.join(", ")}` : plural(nodes.length, "record") }, ...edges, ...boxes);
    const found = !control
      ? `${plural(nodes.length, "record")}; no good control of this variant to compare with`
      : lost.length
        ? el("b", {}, `${lost.length} of ${nodes.length} records lost layers that the control (${control}) has: ${lost.join(", ")}`)
        : `${plural(nodes.length, "record")}; none lost layers that the control (${control}) has`;
    return [
      el("p", {}, found),
      cue(el("div", { class: "graph", tabindex: "0", role: "region", "aria-label": "cache records, scrollable" }, picture)),
    ];
  };

  // Print what is folded on screen.
  addEventListener("beforeprint", () => all("main details").forEach((one) => { one.open = true; }));

  apply();
  const asked = /^#cell-(\d+)$/.exec(location.hash);
  if (asked && data.cells[Number(asked[1])]) {
    const button = table.querySelector(`button[data-cell="${asked[1]}"]`);
    if (button) button.focus();
    open(Number(asked[1]));
  }
})();
