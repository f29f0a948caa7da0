/* Pages of single architectures: markup from the server, layers linked with the drawing, small writes, the editor. */
(function () {
  "use strict";
  const query = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const go = (href) => window.location.assign(href);
  /** Which database, which study and whose latencies: every page keeps them, behind what is its own. */
  const KEPT = ["db", "study", "dev"];
  function kept(state) {
    const before = new URLSearchParams(window.location.search);
    for (const name of KEPT) if (before.get(name)) state.set(name, before.get(name));
    return state;
  }

  // -- markup that came as data; our content security policy lets nothing in it run
  function fill(root) {
    const found = root.matches && root.matches("[data-html]") ? [root] : [];
    for (const host of [...found, ...(root.querySelectorAll ? root.querySelectorAll("[data-html]") : [])]) {
      if (host.dataset.shown !== host.dataset.html) {
        host.dataset.shown = host.dataset.html;
        host.innerHTML = host.dataset.html;
        for (const form of all("form[data-editor]", host)) rules(form, JSON.parse(form.dataset.wrong));
      }
    }
  }
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "attributes") fill(change.target);
      change.addedNodes.forEach((node) => node.nodeType === 1 && fill(node));
    }
  }).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["data-html"] });

  // A file is loaded, not navigated to.
  window.addEventListener("click", (event) => {
    if (event.target.closest && event.target.closest("a[download]")) event.stopPropagation();
  }, true);

  // -- layers and drawing
  const parsed = new WeakMap();
  function layersOf(chart) {
    if (!parsed.has(chart)) parsed.set(chart, JSON.parse(chart.dataset.layers));
    return parsed.get(chart);
  }
  const TITLES = ["MACs", "parameters", "memory alive", "latency"];
  function mark(scope, names, at) {
    const chart = query(".layers[data-layers]", scope);
    if (!chart) return;
    const layers = layersOf(chart);
    const on = layers.map((layer, index) => (names.has(layer[0]) ? index : -1)).filter((index) => index >= 0);
    const path = on.map((index) => `M${index} 0H${index + 1}V100H${index}Z`).join("");
    for (const shown of all("path.on", chart)) shown.setAttribute("d", path);
    for (const group of all(".diagram .mark", scope)) {
      group.classList.toggle("on", names.size > 0 && group.dataset.nodes.split(" ").some((name) => names.has(name)));
    }
    const readout = query(".readout", chart);
    chart.dataset.at = at === undefined ? "" : at;
    if (at !== undefined) {
      const [name, kind, shape, ...values] = layers[at].slice(0, -1);
      readout.textContent = `${name} · ${kind} → ${shape} · ${values.map((v, i) => `${TITLES[i]} ${v}`).join(" · ")}`;
    } else if (on.length === 1) {
      mark(scope, names, on[0]);
    } else if (on.length) {
      const shares = ["MACs", "parameters", "predicted latency"].map((word, i) => {
        const share = on.reduce((sum, index) => sum + layers[index].at(-1)[i], 0);
        return share ? ` · ${(100 * share).toFixed(1)} % of ${word}` : "";
      });
      readout.textContent = `${on.length} layers: ${layers[on[0]][0]} … ${layers[on.at(-1)][0]}${shares.join("")}`;
    } else if (names.size) {
      readout.textContent = `${[...names].join(", ")}: a view or an arrow, it costs nothing by itself`;
    }
  }
  function column(svg, event) {
    const box = svg.getBoundingClientRect();
    const count = svg.viewBox.baseVal.width;
    return Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count)));
  }
  document.addEventListener("pointermove", (event) => {
    if (!event.target.closest) return;
    const scope = event.target.closest(".linked");
    if (!scope) return;
    const svg = event.target.closest(".layers[data-layers] .quantity svg");
    const group = event.target.closest(".diagram .mark");
    const key = svg ? column(svg, event) : group ? group.dataset.nodes : null;
    if (scope.dataset.key === String(key)) return;
    scope.dataset.key = String(key);
    if (svg) mark(scope, new Set([layersOf(svg.closest(".layers"))[key][0]]), key);
    else if (group) mark(scope, new Set(group.dataset.nodes.split(" ")));
    else mark(scope, new Set());
  });
  document.addEventListener("keydown", (event) => {
    const chart = event.target.matches && event.target.matches(".layers[data-layers]") ? event.target : null;
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!chart || !step) return;
    event.preventDefault();
    const layers = layersOf(chart);
    const from = chart.dataset.at ? Number(chart.dataset.at) : step > 0 ? -1 : layers.length;
    const at = Math.min(layers.length - 1, Math.max(0, from + step));
    mark(chart.closest(".linked"), new Set([layers[at][0]]), at);
  });

  // -- small writes
  const REFUSED = {
    403: "the server takes no changes from this address", 413: "this is more than the server takes",
  };
  async function send(what, data) {
    let response;
    try {
      response = await fetch(`/write/${what}`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data),
      });
    } catch {
      return { problem: "the dashboard does not answer; nothing was saved" };
    }
    const { status, statusText } = response;
    const problem = `${REFUSED[status] || "the server could not do this"} (${status} ${statusText}); nothing was saved`;
    const answer = await response.json().catch(() => ({ problem })); // a proxy, and Flask itself, answer in HTML
    return response.ok || answer.problem ? answer : { problem };
  }
  function tell(output, answer) {
    if (!output) return;
    output.textContent = answer.problem || answer.said || "";
    output.classList.toggle("problem", Boolean(answer.problem));
  }
  const WRITES = {
    async note(form) {
      tell(query("output", form), await send("note", { id: form.dataset.id, text: form.elements.text.value }));
    },
    async tag(form, removed) {
      const word = removed === undefined ? form.elements.tag.value : removed;
      const answer = await send("tag", { id: form.dataset.id, tag: word, remove: removed !== undefined });
      tell(query("output", form), answer);
      if (answer.html === undefined) return;
      query(".tags", form).innerHTML = answer.html;
      if (removed === undefined) form.elements.tag.value = "";
      form.elements.tag.focus();
    },
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.write) WRITES[form.dataset.write](form);
    else if ("compare" in form.dataset) {
      go(`/compare?${kept(new URLSearchParams({ ids: form.elements.ids.value }))}`.replaceAll("%2C", ","));
    } else if ("start" in form.dataset) {
      go(`/explore?${kept(new URLSearchParams({ from: form.elements.from.value }))}`);
    } else if (!("editor" in form.dataset)) return;
    event.preventDefault();
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest("button");
    if (!button) return;
    if (button.dataset.remove !== undefined) WRITES.tag(button.closest("form"), button.dataset.remove);
    if (button.dataset.write === "pin") {
      const on = button.getAttribute("aria-pressed") !== "true";
      const answer = await send("pin", { id: button.dataset.id, study: button.dataset.study, on });
      tell(query("output", button.parentElement), answer);
      if (answer.problem) return;
      button.setAttribute("aria-pressed", String(answer.pinned));
      button.textContent = answer.pinned ? "Pinned" : "Pin";
    }
    if (button.matches(".command .copy") && navigator.clipboard) {
      await navigator.clipboard.writeText(query("pre", button.parentElement).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    }
    if (button.dataset.queue !== undefined) {
      const study = query("#explore").dataset.study;
      const answer = await send("queue", { study, query: window.location.search });
      tell(query("output", button.parentElement), answer);
      if (answer.html !== undefined) query("#queue").innerHTML = answer.html;
    }
    if (button.dataset.reset !== undefined) {
      go(`/explore?${kept(new URLSearchParams({ from: new URLSearchParams(window.location.search).get("from") || "" }))}`);
    }
  });

  // -- the editor: the form is the state, the URL its query, the server's answer everything else
  const COUPLED = /\.(partial_ratio|fusion)$/;
  function stateOf(form) {
    const state = new URLSearchParams();
    state.set("from", form.dataset.shape.split("|")[0]);
    for (const control of form.elements) {
      const { name, dataset } = control;
      if (!name || name.startsWith("all.")) continue;
      if (dataset.said !== undefined) state.set(name, dataset.said);
      else if (dataset.touched && control.value !== "" && (control.value !== dataset.base || COUPLED.test(name))) {
        state.set(name, control.value);
      }
    }
    return kept(state);
  }
  function label(control) {
    const output = control.type === "range" && control.parentElement && query("output", control.parentElement);
    if (output) output.textContent = control.value;
    if (control.matches("select")) control.title = control.selectedOptions[0]?.textContent || "";
  }
  function touch(control, value) {
    if (value !== undefined) control.value = value;
    control.dataset.touched = "1";
    delete control.dataset.said;
    label(control);
  }
  function rules(form, wrong) {
    for (const slot of all("[data-rules]", form)) {
      slot.textContent = "";
      if (slot.parentElement.matches("tr")) slot.parentElement.hidden = true;
    }
    for (const control of form.elements) if (control.name) control.removeAttribute("aria-invalid");
    for (const [key, text] of Object.entries(wrong)) {
      const control = form.elements[key];
      const [part, axis] = key.split(".");
      const stage = part.startsWith("stage");
      const slot = query(`[data-rules="${stage ? axis : "network"}"]`, form);
      if (control) control.setAttribute("aria-invalid", "true");
      if (!slot) continue;
      const who = stage ? part.replace("stage", "Stage ") : control ? control.getAttribute("aria-label") : key;
      slot.textContent += `${slot.textContent ? " · " : ""}${who}: ${text}`;
      if (slot.parentElement.matches("tr")) slot.parentElement.hidden = false;
    }
  }
  function show(form, answer) {
    const results = query("#results");
    const focused = document.activeElement && document.activeElement.name;
    let shown = form;
    if (answer.form !== undefined) {
      const host = form.parentElement;
      host.innerHTML = answer.form;
      shown = query("form", host);
      const same = focused && shown.elements[focused];
      if (same) same.focus();
    }
    for (const [key, value] of Object.entries(answer.values || {})) {
      const control = shown.elements[key];
      if (!control || control === document.activeElement || control.value === value) continue;
      if (control.type === "range" && Math.abs(control.value - value) < control.step / 2) continue;
      control.value = value;
      delete control.dataset.touched;
      label(control);
    }
    rules(shown, answer.wrong || {});
    const old = query(".problem-card", results);
    if (old) old.remove();
    results.classList.toggle("stale", Boolean(answer.problem));
    if (answer.problem) results.insertAdjacentHTML("afterbegin", answer.results || "");
    else results.innerHTML = answer.results;
  }
  let busy = false;
  let again = false;
  async function ask(form) {
    const state = stateOf(form);
    history.replaceState(history.state, "", `/explore?${state}`);
    if (busy) { again = true; return; }
    busy = true;
    state.set("shape", form.dataset.shape);
    try {
      const response = await fetch(`/explore/state?${state}`);
      const answer = await response.json();
      // While a newer question waits, an old answer must not set controls back.
      if (form.isConnected && !again) show(form, answer);
    } catch {
      const results = query("#results");
      if (results) results.classList.add("stale");
    }
    busy = false;
    if (again) { again = false; const now = query("form[data-editor]"); if (now) ask(now); }
  }
  document.addEventListener("input", (event) => {
    const control = event.target;
    const form = control.form;
    if (!form || !("editor" in form.dataset)) return;
    touch(control);
    if (control.name.startsWith("all.")) {
      const axis = control.name.slice(4);
      for (const other of form.elements) {
        if (/^stage\d+\./.test(other.name) && other.name.split(".")[1] === axis) touch(other, control.value);
      }
    }
    ask(form);
  });
})();
