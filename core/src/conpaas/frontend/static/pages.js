// What pages do beyond forms and links.  Everything works without it.
"use strict";

const find = (selector, within = document) => [...within.querySelectorAll(selector)];

// -- live parts: the page is asked for again, and parts that differ are put in its place ----------

const FIRST = 1000, LONGEST = 16000;
let pause = FIRST, timer = 0, etag = "", asking = false;

const main = () => document.getElementById("main");
const busy = () => main()?.hasAttribute("data-busy");
const touched = new WeakSet();
document.addEventListener("input", (event) => {
  const part = event.target.closest("[data-live]");
  if (part) touched.add(part);
});

function schedule() {
  clearTimeout(timer);
  if (document.hidden || !find("[data-live]").length) return;
  if (busy()) pause = FIRST;
  else if (pause >= LONGEST) return;  // nothing changes: look again when somebody comes back
  else pause *= 2;
  timer = setTimeout(look, pause);
}

async function look() {
  if (asking) return;
  asking = true;
  try {
    const headers = { "X-Live": "1" };
    if (etag) headers["If-None-Match"] = etag;
    const answer = await fetch(location.href.split("#")[0], { headers, cache: "no-store" });
    if (answer.status === 401) return location.reload();
    if (answer.ok) {
      etag = answer.headers.get("ETag") || "";
      replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
    if (answer.status < 500) reached(true);
    else reached(false);
  } catch {
    reached(false);
  } finally {
    asking = false;
    schedule();
  }
}

function reached(there) {
  document.documentElement.classList.toggle("away", !there);
}

// What the server said a part is: our own buttons have been added to what is there.
const said = new WeakMap();
const remember = () => find("[data-live]").forEach((one) => { if (!said.has(one)) said.set(one, one.innerHTML); });
const sections = (within) => find(":scope > [id], :scope > .columns > [id]", within).map((one) => one.id).join();

function replace(fresh) {
  const was = main(), is = fresh.getElementById("main");
  if (!is) return;
  const before = states();
  was.toggleAttribute("data-busy", is.hasAttribute("data-busy"));
  const edited = typing() || find("[data-live]").some((one) => touched.has(one));
  if (sections(was) !== sections(is) && !edited) {
    was.replaceChildren(...is.cloneNode(true).childNodes);
    ready();
  }
  for (const old of find("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (!now || now.innerHTML === said.get(old) || touched.has(old)) continue;
    if (old.querySelector("details[open]:not(.menu)") || selecting(old) || (old.contains(document.activeElement) && typing())) continue;
    put(old, now);
  }
  enhance(document);
  const after = states();
  if (after !== before) document.getElementById("live-news").textContent = after;
}

function put(old, now) {
  const focused = old.contains(document.activeElement) ? path(old, document.activeElement) : null;
  said.set(old, now.innerHTML);
  old.replaceChildren(...now.cloneNode(true).childNodes);
  if (focused) focused.reduce((at, n) => at?.children[n], old)?.focus();
  find("[data-filter]").forEach(narrow);
}

const typing = () => ["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement.tagName);

function selecting(part) {
  const selection = getSelection();
  return !selection.isCollapsed && part.contains(selection.anchorNode);
}

function path(from, to) {
  const steps = [];
  for (let at = to; at !== from; at = at.parentElement) {
    steps.unshift([...at.parentElement.children].indexOf(at));
  }
  return steps;
}

const states = () => find("h1, main .head .state").map((one) => one.textContent.trim()).join(", ");

function again() {
  pause = FIRST / 2;
  schedule();
}
document.addEventListener("visibilitychange", again);
addEventListener("focus", again);
addEventListener("pageshow", again);

// -- logs: what they grow by ----------------------------------------------------------------------------

const LONGEST_LOG = 2000000;
let wait = FIRST;

async function follow() {
  const log = document.querySelector("[data-after]"), box = document.querySelector("[data-follow]");
  if (!log) return;
  if (!document.hidden && box.checked) {
    try {
      const where = new URL(location.href);
      where.hash = "";
      where.searchParams.set("after", log.dataset.after);
      const answer = await fetch(where, { headers: { "X-Live": "1" }, cache: "no-store" });
      if (answer.status === 401) return location.reload();
      reached(answer.status < 500);
      if (answer.ok) grow(log, await answer.json());
    } catch {
      reached(false);
    }
  }
  setTimeout(follow, wait);
}

function grow(log, piece) {
  wait = piece.text ? FIRST : Math.min(wait * 1.5, 5000);
  log.dataset.after = piece.after;
  if (!piece.text) return;
  const end = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  log.append(piece.text);
  document.getElementById("log-empty").hidden = true;
  if (log.textContent.length > LONGEST_LOG) log.textContent = log.textContent.slice(-LONGEST_LOG / 2);
  if (end) log.scrollTop = log.scrollHeight;
}

// -- buttons that only work here ----------------------------------------------------------------------

function enhance(within) {
  find("[data-copy][hidden], [data-step][hidden], [data-theme-switch][hidden], .follow[hidden]", within)
    .forEach((one) => { one.hidden = false; });
}

document.addEventListener("click", async (event) => {
  const at = event.target.closest("[data-copy], [data-step], [data-theme-switch]");
  for (const menu of find("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  if (!at) return;
  if (at.dataset.copy !== undefined) {
    await navigator.clipboard.writeText(at.dataset.copy);
    at.textContent = "Copied";
    setTimeout(() => { at.textContent = "Copy"; }, 1500);
  } else if (at.dataset.step !== undefined) {
    const input = at.parentElement.querySelector("input");
    input.value = Math.max(0, Number(input.value) + Number(at.dataset.step));
    input.dispatchEvent(new Event("input", { bubbles: true }));
  } else {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
  }
});

// -- scaling: what Apply would do, in the server's words ------------------------------------------------

let told = 0, asked = null;

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-scale]");
  if (form) {
    clearTimeout(told);
    told = setTimeout(() => summarise(form), 150);
  }
  const filter = event.target.closest("[data-filter]");
  if (filter) narrow(filter);
});

async function summarise(form) {
  const inputs = find("[name^='count.'], [name^='was.'], [name=cloud]", form);
  const where = form.querySelector(".scale-summary");
  asked?.abort();
  if (inputs.every((one) => !one.name.startsWith("count.") || one.value === one.defaultValue)) return where.replaceChildren();
  asked = new AbortController();
  const query = new URLSearchParams(inputs.map((one) => [one.name, one.value]));
  try {
    const answer = await fetch(`${form.action}?${query}`, { headers: { "X-Live": "1" }, cache: "no-store", signal: asked.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector(".scale-summary, main [role=alert]");
    where.replaceChildren(...(fresh ? fresh.cloneNode(true).childNodes : []));
  } catch {
    where.replaceChildren();  // Apply asks once more, and says what is wrong
  }
}

function narrow(filter) {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const one of find(filter.dataset.filter)) {
    const text = one.textContent.toLowerCase();
    one.hidden = !words.every((word) => text.includes(word));
  }
}

// -- files: how far they are ----------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-upload]") || !find("input[type=file]", form).some((one) => one.value)) {
    // Once: whoever presses twice means it once.
    if (form.method === "post" && !form.hasAttribute("data-stays")) setTimeout(() => find("button:not([type])", form).forEach((one) => { one.disabled = true; }));
    return;
  }
  event.preventDefault();
  const meter = form.querySelector("progress"), request = new XMLHttpRequest();
  const buttons = find("button", form);
  request.open("POST", form.action);
  request.setRequestHeader("X-Upload", "1");
  request.upload.onprogress = (step) => {
    if (step.lengthComputable) meter.value = 100 * step.loaded / step.total;
  };
  request.onload = () => {
    if (request.status === 204) return location.assign(request.getResponseHeader("Location"));
    const fresh = new DOMParser().parseFromString(request.responseText, "text/html");
    document.title = fresh.title;
    main().replaceWith(fresh.getElementById("main"));
    ready();
  };
  request.onerror = () => {
    meter.hidden = true;
    buttons.forEach((one) => { one.disabled = false; });
    alert("The connection was lost. Nothing was changed: try again.");
  };
  meter.hidden = false;
  buttons.forEach((one) => { one.disabled = true; });
  request.send(new FormData(form));
});

// -- keyboard -------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") find("details.menu[open], details.rename[open]").forEach((one) => { one.open = false; });
  if (event.ctrlKey || event.metaKey || event.altKey || typing()) return;
  if (event.key === "/") {
    const filter = document.querySelector("[data-filter], input[type=search], main input:not([type=hidden])");
    if (filter) { event.preventDefault(); filter.focus(); }
  } else if (event.key === "?") document.getElementById("shortcuts").showModal();
  else if (event.key === "g") location.assign("/");
});

// What opens for typing is ready to be typed into.
document.addEventListener("toggle", (event) => {
  if (event.target.matches?.(".rename[open]")) event.target.querySelector("input[name=new_name]").select();
}, true);

// -- the page as it came --------------------------------------------------------------------------------

function ready() {
  remember();
  enhance(document);
  find("[data-focus]")[0]?.focus();
  for (const log of find("[data-after]")) log.scrollTop = log.scrollHeight;
  for (const filter of find("[data-filter]")) if (filter.value) narrow(filter);
}
ready();
schedule();
setTimeout(follow, FIRST);
