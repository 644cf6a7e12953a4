/* The review panel of cvat-audit. Written by hand, no build step: the App gives React and its plugin registry as
   globals. Texts from labels, files and servers only ever become React text nodes or attributes, never markup. */
(function () {
  "use strict";
  const React = window.React;
  const h = React.createElement;
  const { useCallback, useEffect, useMemo, useRef, useState } = React;

  const BASE = "/cvat-audit";
  const AHEAD = 8; // questions whose text and picture are in the browser before they are needed
  const RATE_OVER = 20; // answers the shown rate is taken from
  const RETRY_MS = 5000; // how often to ask again when nothing is left
  const POPUP_MS = [0, 300, 1000, 3000]; // after the panel's opening
  const CHOICES_SHOWN = 100; // labels listed at once
  const NO_FILTER = { type: "", label: "", annotator: "", job: "" };
  const KEYS = {
    y: "yes", arrowright: "yes", n: "no", arrowleft: "no", u: "unsure", arrowdown: "unsure",
    l: "other", z: "undo", arrowup: "undo",
  };
  const HIDE_KEY = "h";
  const TYPES = {
    missing_annotation: "#5aa9ea", low_overlap: "#f0ad3d", mismatching_label: "#c18ad8",
    extra_annotation: "#ea7d66", duplicate_annotation: "#e58fc0", invalid_shape: "#93a3b4",
    unusual_shape: "#7fc4b8", broken_track: "#b7c45c", empty_frame: "#b0a08f", inconsistent_frames: "#8d94e8",
  };

  async function call(name, token, body) {
    const options = body && {
      method: "POST", body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", "X-Cvat-Audit-Token": token },
    };
    let reply, told = {};
    try {
      reply = await fetch(`${BASE}/${name}`, { cache: "no-store", ...options });
    } catch (_) {
      throw new Error("The review server does not answer. Is 'cvat-audit review' still running?");
    }
    try { told = await reply.json(); } catch (_) { /* an answer without a text */ }
    if (reply.status === 403) throw new Error("The server was started anew. Reload this page.");
    if (!reply.ok) throw new Error(told.error || `The review server answered ${reply.status}.`);
    return told;
  }

  function prefetch(item) {
    if (!item.photo) return item;
    const held = new Image();
    held.src = item.photo;
    held.decode().catch(() => {});
    return { ...item, held }; // held, so that the browser keeps it decoded
  }

  /* Everything that is asked, answered and fetched; the components below only show it. */
  function useReview() {
    const [session, setSession] = useState(null);
    const [queue, setQueue] = useState(null);
    const [counts, setCounts] = useState(null);
    const [outlook, setOutlook] = useState(""); // what is found so far, and when to stop
    const [filter, setFilter] = useState(NO_FILTER);
    const [problem, setProblem] = useState("");
    const [last, setLast] = useState(null);
    const live = useRef({ queue: [], filter: NO_FILTER, token: "", busy: false, filling: false, round: 0 }).current;
    const times = useRef([]);
    const shownAt = useRef(performance.now());

    const show = useCallback((items) => { live.queue = items; setQueue(items); }, []);

    const fill = useCallback(async () => {
      if (live.filling || live.queue.length >= AHEAD) return;
      live.filling = true;
      const round = live.round;
      try {
        const number = live.queue.length ? AHEAD - live.queue.length : 1;
        const known = live.queue.map((i) => i.id);
        const told = await call("ask", live.token, { number, known, filter: live.filter });
        live.filling = false;
        if (round === live.round) {
          const here = new Set(live.queue.map((i) => i.id));
          live.more = told.items.length > 0;
          show([...live.queue, ...told.items.filter((i) => !here.has(i.id)).map(prefetch)]);
          setCounts(told.counts);
        }
      } catch (error) { live.more = false; live.filling = false; setProblem(error.message); }
      if (round !== live.round || (live.more && live.queue.length < AHEAD)) fill();
    }, []);

    const change = useCallback((next) => {
      live.round += 1; live.filter = next; live.more = true;
      live.queue = []; setQueue(null); setFilter(next); setProblem("");
      fill();
    }, []);

    useEffect(() => {
      call("session").then((told) => { live.token = told.token; setSession(told); change(NO_FILTER); })
        .catch((error) => setProblem(error.message));
    }, []);

    useEffect(() => { // somebody else may give back what they were asked
      const timer = setInterval(() => { if (live.token && !live.queue.length) fill(); }, RETRY_MS);
      return () => clearInterval(timer);
    }, []);

    const current = queue && queue[0];
    useEffect(() => { shownAt.current = performance.now(); }, [current && current.id]);

    const act = useCallback(async (work) => {
      if (live.busy) return;
      live.busy = true;
      try { await work(); setProblem(""); } catch (error) { setProblem(error.message); }
      live.busy = false;
    }, []);

    const answer = useCallback((said, label) => act(async () => {
      const item = live.queue[0];
      if (!item) return;
      const seconds = (performance.now() - shownAt.current) / 1000;
      const told = await call("answer", live.token,
        { finding: item.id, answer: said, label: label || "", seconds, filter: live.filter });
      times.current = [...times.current.slice(1 - RATE_OVER), seconds]; // only now is it on disk
      show(live.queue.filter((i) => i.id !== item.id));
      setCounts(told.counts);
      setOutlook(told.outlook);
      setLast(said === "other" ? `Saved: other label, ${label}` : `Saved: ${
        said === "unsure" ? "unsure" : item.question[said]}`);
      fill();
    }), []);

    const undo = useCallback(() => act(async () => {
      const told = await call("undo", live.token, { filter: live.filter });
      setCounts(told.counts);
      setLast(told.items.length ? "Taken back: the last answer" : "There is nothing to take back");
      const again = new Set(told.items.map((i) => i.id));
      show([...told.items.map(prefetch), ...live.queue.filter((i) => !again.has(i.id))]);
    }), []);

    const spent = times.current.reduce((a, b) => a + b, 0);
    const rate = spent > 0 ? times.current.length / spent : 0; // answers a second
    const waiting = queue === null || live.filling || live.more;
    return { session, waiting, current, counts, outlook, filter, problem, last, rate, answer, undo, change };
  }

  function Shapes({ item }) {
    const drawn = [];
    for (const [i, path] of item.paths.entries()) {
      const kind = `${path.role}${path.dots ? " dots" : ""}`;
      drawn.push(h("path", { key: `h${i}`, className: `halo ${kind}`, d: path.d }));
      drawn.push(h("path", { key: `l${i}`, className: `line ${kind}`, d: path.d }));
    }
    return h("svg", { viewBox: `0 0 ${item.width} ${item.height}`, "aria-hidden": true }, drawn);
  }

  function Picture({ item }) {
    const [bare, setBare] = useState(false);
    useEffect(() => {
      const set = (on) => (event) => {
        if (event.key.toLowerCase() === HIDE_KEY && !typing(event)) setBare(on);
      };
      const down = set(true), up = set(false);
      window.addEventListener("keydown", down, true);
      window.addEventListener("keyup", up, true);
      return () => { window.removeEventListener("keydown", down, true); window.removeEventListener("keyup", up, true); };
    }, []);
    const roles = new Set(item.paths.map((p) => p.role));
    const legend = [["existing", "labelled now"], ["proposed", "proposed"], ["other", "the other shape"],
      ["missing", "missing from the shape"], ["extra", "too much in it"]];
    return h("figure", { className: bare ? "bare" : "" },
      h("div", { className: "shot" },
        item.photo ? h("img", { key: item.id, src: item.photo, alt: `Part of the photo ${item.image}` }) : null,
        item.photo ? null : h("p", { className: "no-photo" }, `No photo: ${item.problem}`),
        h(Shapes, { item })),
      h("figcaption", null,
        legend.filter(([role]) => roles.has(role)).map(([role, words]) => h("span", { key: role, className: "key" },
          h("svg", { viewBox: "0 0 34 12", "aria-hidden": true }, h("path", { className: `line ${role}`, d: "M2 6h30" })), words)),
        h("span", { className: "spacer" }),
        h("span", { className: "soft" }, "hold ", h("kbd", null, "H"), " to hide the shapes")));
  }

  function Button({ keys, onClick, className, disabled, children }) {
    return h("button", { type: "button", className, onClick, disabled, "aria-keyshortcuts": keys.join(" ") },
      h("span", { className: "says" }, children),
      h("span", { className: "keys" }, keys.map((k) => h("kbd", { key: k }, ARROWS[k] || k))));
  }
  const ARROWS = { ArrowRight: "→", ArrowLeft: "←", ArrowDown: "↓", ArrowUp: "↑" };

  function OtherLabel({ labels, onChoose, onClose }) {
    const [typed, setTyped] = useState("");
    const [at, setAt] = useState(0);
    const box = useRef(null);
    const found = useMemo(() => {
      const wanted = typed.trim().toLocaleLowerCase();
      const starts = labels.filter((l) => l.toLocaleLowerCase().startsWith(wanted));
      const rest = labels.filter((l) => !l.toLocaleLowerCase().startsWith(wanted) && l.toLocaleLowerCase().includes(wanted));
      return [...starts, ...rest];
    }, [typed, labels]);
    const shown = found.slice(0, CHOICES_SHOWN);
    useEffect(() => { box.current.focus(); }, []);
    useEffect(() => {
      const chosen = document.getElementById(`cvat-audit-label-${at}`);
      if (chosen) chosen.scrollIntoView({ block: "nearest" });
    }, [at]);
    const keys = useRef();
    keys.current = (event) => {
      if (event.target !== box.current) return;
      event.stopPropagation(); // the App would close things at Escape
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && shown.length) { event.preventDefault(); setAt((at + step + shown.length) % shown.length); }
      if (event.key === "Enter" && shown[at] !== undefined) { event.preventDefault(); onChoose(shown[at]); }
      if (event.key === "Escape") { event.preventDefault(); onClose(); }
    };
    useEffect(() => {
      const onKey = (event) => keys.current(event);
      window.addEventListener("keydown", onKey, true);
      return () => window.removeEventListener("keydown", onKey, true);
    }, []);
    return h("div", { className: "other", role: "dialog", "aria-label": "Another label" },
      h("input", {
        ref: box, type: "text", value: typed, placeholder: "Type a label", role: "combobox", "aria-expanded": true,
        "aria-controls": "cvat-audit-labels", "aria-activedescendant": shown.length ? `cvat-audit-label-${at}` : undefined,
        "aria-label": "The right label", autoComplete: "off",
        onChange: (event) => { setTyped(event.target.value); setAt(0); },
      }),
      h("ul", { id: "cvat-audit-labels", role: "listbox", "aria-label": "Labels of this task" },
        shown.map((label, i) => h("li", {
          key: i, id: `cvat-audit-label-${i}`, role: "option", "aria-selected": i === at, title: short(label, 1000),
          onMouseDown: (event) => { event.preventDefault(); onChoose(label); },
        }, h("bdi", null, short(label, 120)))),
        shown.length ? null : h("li", { className: "soft" }, "This task has no such label.")),
      h("p", { className: "soft" }, found.length > shown.length ? `${found.length - shown.length} more: type on. ` : "",
        h("kbd", null, "Enter"), " chooses, ", h("kbd", null, "Esc"), " goes back"));
  }

  function Filters({ session, filter, change }) {
    const { types, labels, annotators, jobs } = session.choices;
    const select = (name, all, options) => options.length < 2 && !filter[name] ? null : h("label", { key: name },
      h("span", { className: "hidden" }, name),
      h("select", {
        value: filter[name],
        onChange: (event) => { change({ ...filter, [name]: event.target.value }); event.target.blur(); },
      }, h("option", { value: "" }, all), options.map(([value, words]) => h("option", { key: value, value }, words))));
    return h("div", { className: "filters", role: "group", "aria-label": "Show only" },
      select("type", "All types", types.map((t) => [t.code, t.title])),
      select("label", "All labels", labels.map((l) => [l, short(l, 40)])),
      select("annotator", "All annotators", annotators.map((a) => [a, short(a, 40)])),
      select("job", "All jobs", jobs.map((j) => [String(j), `Job ${j}`])),
      Object.values(filter).some(Boolean)
        ? h("button", { type: "button", className: "plain", onClick: () => change(NO_FILTER) }, "Clear") : null);
  }

  function Progress({ counts, rate }) {
    if (!counts) return null;
    const share = counts.total ? Math.min(1, counts.done / Math.max(1, counts.done + counts.left)) : 1;
    const words = [`${count(counts.done)} done by you`, `${count(counts.left)} left`];
    if (rate) words.push(`${Math.round(rate * 60)} a minute`, `about ${span(counts.left / rate)} to go`);
    return h("div", { className: "progress" },
      h("div", {
        className: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": counts.done + counts.left,
        "aria-valuenow": counts.done, "aria-label": "Answered",
      }, h("div", { style: { width: `${100 * share}%` } })),
      h("p", { className: "numbers" }, words.join(" · ")));
  }

  function Facts({ item }) {
    const rows = [["Photo", item.image], ["Frame", String(item.frame)]];
    if (item.job !== null) rows.push(["Job", String(item.job)]);
    if (item.annotator) rows.push(["Annotator", item.annotator]);
    return h("div", { className: "facts" },
      item.reason ? h("p", null, item.reason) : null,
      h("dl", null, rows.map(([name, value]) => h(React.Fragment, { key: name }, h("dt", null, name), h("dd", null, h("bdi", null, value))))),
      item.link ? h("a", { href: item.link, target: "_blank", rel: "noopener noreferrer" }, "Open this frame in CVAT ↗") : null);
  }

  function Panel() {
    const review = useReview();
    const [choosing, setChoosing] = useState(false);
    const [whole, setWhole] = useState(true); // over the App's own bars, which a reviewer has no use for
    const { current, session } = review;
    const dialog = useRef(null);
    useEffect(() => {
      if (!whole) return undefined;
      const stay = (event) => event.preventDefault(); // Escape would close it
      dialog.current.addEventListener("cancel", stay);
      dialog.current.showModal(); // the App behind it takes no keys and no focus
      dialog.current.focus();
      return undefined;
    }, [whole]);
    useEffect(() => { setChoosing(false); }, [current && current.id]);

    const press = useCallback((what) => {
      if (what === "undo") review.undo();
      else if (!current) return;
      else if (what === "other") setChoosing(Boolean(current.question.other));
      else review.answer(what);
    }, [current]);

    useEffect(() => {
      const onKey = (event) => {
        if (typing(event) || choosing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
        if (document.querySelector("[data-cy=modal]")) return;
        const what = KEYS[event.key.toLowerCase()];
        if (!what) return;
        event.preventDefault();
        event.stopPropagation(); // the App has keys of its own
        press(what);
      };
      window.addEventListener("keydown", onKey, true);
      return () => window.removeEventListener("keydown", onKey, true);
    }, [press, choosing]);

    useEffect(() => sayIfEnded, []); // when the panel is taken away
    useEffect(() => {
      const timers = POPUP_MS.map((ms) => setTimeout(closePopup, ms));
      return () => timers.forEach(clearTimeout);
    }, []);

    const undo = h(Button, { key: "undo", className: "quiet", keys: ["Z", "ArrowUp"], onClick: () => press("undo") }, "Undo");
    let body;
    if (review.problem && !session) body = null;
    else if (!session || (!current && review.waiting)) body = h("p", { className: "empty" }, "Loading the next question …");
    else if (!current) {
      body = h("div", { className: "empty" },
        h("h2", null, "Nothing is left to ask"),
        h("p", null, Object.values(review.filter).some(Boolean) ? "No finding of this kind waits for you."
          : "All findings are answered, or are being answered by somebody else."),
        h("div", { className: "narrow" }, undo));
    } else {
      const asked = current.question;
      body = h("div", { className: "main" },
        h(Picture, { item: current }),
        h("section", { className: "side", "aria-live": "polite", "data-finding": current.id },
          h("p", { className: "kind" }, current.type ? h("i", { style: { background: TYPES[current.type] } }) : null, current.title),
          h("h2", null, asked.text),
          choosing
            ? h(OtherLabel, { labels: session.labels.filter((_, code) => code !== current.label), onChoose: (l) => review.answer("other", l), onClose: () => setChoosing(false) })
            : h("div", { className: "answers" }, // "yes" and "no" look alike: nothing must lean to the suggestion
              h(Button, { className: "plainly", keys: ["Y", "ArrowRight"], onClick: () => press("yes") }, asked.yes),
              h(Button, { className: "plainly", keys: ["N", "ArrowLeft"], onClick: () => press("no") }, asked.no),
              h(Button, { keys: ["U", "ArrowDown"], onClick: () => press("unsure") }, "Unsure"),
              asked.other ? h(Button, { keys: ["L"], onClick: () => press("other") }, asked.other) : null,
              undo),
          h(Facts, { item: current }),
          review.outlook ? h("p", { className: "soft outlook" }, review.outlook) : null));
    }
    const frame = whole ? { ref: dialog, className: "cvat-audit whole", tabIndex: -1, "aria-label": "Review" } : { className: "cvat-audit" };
    const page = h(whole ? "dialog" : "div", frame,
      h("style", null, CSS),
      h("header", null,
        session ? h(Filters, { session, filter: review.filter, change: review.change }) : null,
        h(Progress, { counts: review.counts, rate: review.rate }),
        session ? h("p", { className: "who" }, "Reviewer ", h("b", null, h("bdi", null, session.reviewer))) : null,
        h("button", { type: "button", className: "plain", onClick: () => setWhole(!whole) }, whole ? "Show FiftyOne" : "Whole page")),
      review.problem ? h("p", { className: "problem", role: "alert" }, review.problem) : null,
      body,
      h("p", { className: "hidden", role: "status" }, review.last || ""));
    return whole ? window.ReactDOM.createPortal(page, document.body) : page;
  }

  /* The App opens a pop-up at a first visit that holds the keyboard's focus and hides all else from screen readers. */
  function closePopup() {
    for (const button of document.querySelectorAll(".MuiPopover-root button")) {
      if (button.textContent === "Dismiss") button.click();
    }
  }

  /* The App shows a stack trace when its server is gone; a reviewer needs other words. */
  function sayIfEnded() {
    fetch(`${BASE}/session`, { cache: "no-store" }).catch(() => {
      if (document.getElementById("cvat-audit-ended")) return;
      const box = document.createElement("div");
      box.id = "cvat-audit-ended";
      box.setAttribute("role", "alert");
      box.textContent = "The review has ended: its server does not answer. Everything answered so far is saved. " +
        "To go on, start 'cvat-audit review' again and open the address it prints.";
      box.style.cssText = "position:fixed;inset:0;z-index:6000;display:grid;place-items:center;padding:15vw;" +
        "background:#1a1a1a;color:#f2f2f2;font:20px/1.5 system-ui,sans-serif;text-align:center";
      document.body.append(box);
    });
  }

  function typing(event) {
    const t = event.target;
    return !!t && (t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName || ""));
  }
  const short = (text, most) => text.length > most ? `${text.slice(0, most)}… (${count(text.length)} characters)` : text;
  const count = (n) => n.toLocaleString("en");
  function span(seconds) {
    const minutes = Math.ceil(seconds / 60);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  const CSS = `
.cvat-audit { --ground: var(--fo-palette-background-level2, #1a1a1a); --panel: var(--fo-palette-background-level1, #262626);
  --ink: var(--fo-palette-text-primary, #f2f2f2); --soft: var(--fo-palette-text-secondary, #b3b3b3); --line: color-mix(in srgb, var(--ink) 16%, transparent);
  --accent: #3fa9f5; --existing: #f5a300; --proposed: #3fa9f5; --other: #e583bd;
  position: absolute; inset: 0; display: flex; flex-direction: column; background: var(--ground); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow: hidden; }
.cvat-audit.whole { position: fixed; width: 100vw; height: 100vh; max-width: none; max-height: none; margin: 0; border: 0; padding: 0; outline: none; }
.cvat-audit * { box-sizing: border-box; }
.cvat-audit p, .cvat-audit h2, .cvat-audit dl, .cvat-audit dd, .cvat-audit ul, .cvat-audit figure { margin: 0; padding: 0; }
.cvat-audit header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 22px; padding: 10px 18px; border-bottom: 1px solid var(--line); }
.cvat-audit .filters { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.cvat-audit select, .cvat-audit input { font: inherit; color: var(--ink); background: var(--panel); border: 1px solid var(--line); border-radius: 7px; padding: 6px 8px; max-width: 180px; }
.cvat-audit .progress { flex: 1 1 380px; min-width: 0; display: flex; align-items: center; gap: 14px; }
.cvat-audit .bar { flex: 1; height: 6px; border-radius: 6px; background: var(--line); overflow: hidden; min-width: 60px; max-width: 320px; }
.cvat-audit .bar div { height: 100%; background: var(--accent); border-radius: 6px; }
.cvat-audit .numbers, .cvat-audit .who, .cvat-audit .soft { color: var(--soft); font-size: 13px; font-variant-numeric: tabular-nums; }
.cvat-audit:not(.whole) header { padding-right: 130px; }
.cvat-audit .who { max-width: 240px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.cvat-audit .who b { color: var(--ink); font-weight: 600; }
.cvat-audit .problem { background: #7a2318; color: #fff; padding: 9px 18px; }
.cvat-audit .main { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(0, 1fr) 350px; }
.cvat-audit figure { display: flex; flex-direction: column; min-width: 0; min-height: 0; padding: 14px 8px 10px 18px; }
.cvat-audit .shot { position: relative; flex: 1; min-height: 0; background: #0e1116; border-radius: 10px; overflow: hidden; }
.cvat-audit .shot img, .cvat-audit .shot svg { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.cvat-audit .halo, .cvat-audit .line { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.cvat-audit .halo { stroke: #000; stroke-opacity: .5; stroke-width: 6.5; }
.cvat-audit .line { stroke-width: 3; }
.cvat-audit .halo.dots { stroke-width: 14; stroke-linecap: round; }
.cvat-audit .line.dots { stroke-width: 9; stroke-linecap: round; }
.cvat-audit .line.existing { stroke: var(--existing); }
.cvat-audit .line.proposed { stroke: var(--proposed); stroke-dasharray: 9 6; }
.cvat-audit .line.proposed.dots { stroke-dasharray: none; }
.cvat-audit .line.missing, .cvat-audit .line.extra { stroke: none; fill-rule: evenodd; fill-opacity: .55; }
.cvat-audit .line.missing { fill: #19e3c2; }
.cvat-audit .line.extra { fill: #ff3355; }
.cvat-audit .halo.missing, .cvat-audit .halo.extra { display: none; }
.cvat-audit .line.other { stroke: var(--other); stroke-dasharray: 3 7; stroke-width: 4.5; }
.cvat-audit .bare .shot svg { visibility: hidden; }
.cvat-audit .no-photo { position: absolute; left: 12px; bottom: 8px; color: #c5ced8; font-size: 13px; }
.cvat-audit figcaption { display: flex; flex-wrap: wrap; gap: 4px 20px; align-items: center; padding-top: 8px; font-size: 13px; }
.cvat-audit .spacer { flex: 1; }
.cvat-audit .key { display: inline-flex; gap: 8px; align-items: center; }
.cvat-audit .key svg { width: 38px; height: 14px; }
.cvat-audit .side { overflow-y: auto; padding: 18px 20px 18px 14px; display: flex; flex-direction: column; gap: 14px; }
.cvat-audit .kind { display: flex; align-items: center; gap: 9px; font-size: 12px; font-weight: 600; letter-spacing: .07em; text-transform: uppercase; color: var(--soft); }
.cvat-audit .kind i { width: 11px; height: 11px; border-radius: 3px; flex: none; }
.cvat-audit h2 { font-size: 22px; line-height: 1.28; font-weight: 650; letter-spacing: -.01em; overflow-wrap: anywhere; max-height: 9em; overflow-y: auto; flex: none; }
.cvat-audit .answers { display: flex; flex-direction: column; gap: 8px; }
.cvat-audit .narrow { width: 300px; }
.cvat-audit button { font: inherit; color: var(--ink); background: var(--panel); border: 1px solid var(--line); border-radius: 9px; padding: 11px 12px; width: 100%; display: flex; align-items: center; justify-content: space-between; gap: 12px; cursor: pointer; text-align: start; }
.cvat-audit button:hover { border-color: var(--soft); }
.cvat-audit button .says { overflow-wrap: anywhere; max-height: 4.4em; overflow: hidden; font-weight: 550; }
.cvat-audit button.plainly { background: color-mix(in srgb, var(--ink) 13%, var(--panel)); }
.cvat-audit button.quiet { background: none; color: var(--soft); }
.cvat-audit button.plain { width: auto; padding: 6px 11px; border-radius: 7px; }
.cvat-audit .keys { display: flex; gap: 5px; flex: none; }
.cvat-audit kbd { font: 600 12px/1 ui-monospace, Menlo, Consolas, monospace; border: 1px solid currentColor; border-radius: 5px; padding: 4px 6px; opacity: .8; min-width: 23px; text-align: center; }
.cvat-audit :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.cvat-audit .other { display: flex; flex-direction: column; gap: 8px; }
.cvat-audit .other input { max-width: none; width: 100%; padding: 10px 12px; }
.cvat-audit .other ul { list-style: none; max-height: 250px; overflow-y: auto; border: 1px solid var(--line); border-radius: 8px; }
.cvat-audit .other li { padding: 8px 12px; cursor: pointer; overflow-wrap: anywhere; }
.cvat-audit .other li[aria-selected=true] { background: #155fa0; color: #fff; }
.cvat-audit .facts { border-top: 1px solid var(--line); padding-top: 14px; font-size: 13px; display: flex; flex-direction: column; gap: 10px; color: var(--soft); }
.cvat-audit .facts p { overflow-wrap: anywhere; max-height: 23.2em; overflow-y: auto; }
.cvat-audit dl { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 3px 14px; }
.cvat-audit dd { color: var(--ink); overflow-wrap: anywhere; max-height: 6em; overflow-y: auto; }
.cvat-audit a { color: var(--accent); font-weight: 550; }
.cvat-audit .empty { margin: auto; text-align: center; display: flex; flex-direction: column; gap: 12px; align-items: center; color: var(--soft); padding: 40px; }
.cvat-audit .empty h2 { color: var(--ink); }
.cvat-audit .hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`;

  function Icon() {
    return h("svg", { viewBox: "0 0 24 24", width: 16, height: 16, fill: "none", stroke: "currentColor", strokeWidth: 2.2 },
      h("path", { d: "M4 12.5l5 5L20 6.5" }));
  }

  window.__fop__.registerComponent({
    name: "cvat_audit_review",
    label: "Review",
    component: Panel,
    type: window.__fop__.PluginComponentType.Panel,
    activator: () => true,
    Icon,
    panelOptions: { surfaces: "grid", allowDuplicates: false, priority: 1 },
  });
})();
