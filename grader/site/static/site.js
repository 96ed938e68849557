// What every page can do with JavaScript: theme, copying, keeping one's place. Reading needs none of it.
"use strict";

const memory = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { /* private window: forget */ } },
};

// Grades of the cards: {id: {days, ease, due, grade}}; a card counts as known once it was last graded 3 or 4.
const grades = () => { try { return JSON.parse(memory.get("prep.cards")) || {}; } catch { return {}; } };
const isKnown = (id, known) => (known[id]?.grade || 0) >= 3;

function theme() {
  const button = document.querySelector(".theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen === "dark" || (chosen !== "light" && system.matches);
  };
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    // back to what the system wants: follow it again when it changes
    const chosen = (next === "dark") === system.matches ? "auto" : next;
    document.documentElement.dataset.theme = chosen;
    memory.set("prep.theme", chosen);
    show();
  });
  system.addEventListener("change", show);
  show();
}

function copying() {
  for (const button of document.querySelectorAll(".copy")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    const label = button.firstChild;
    const before = label.data;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      label.data = button.dataset.done;
      setTimeout(() => { label.data = before; }, 1500);
    });
  }
}

// A link into a folded part opens it, and the language switch leads to the same part, with the same parts open.
function places() {
  const reveal = () => {
    const name = decodeURIComponent(location.hash.slice(1)).split("+");
    let first = null;
    for (const part of name) {
      const element = document.getElementById(part);
      if (!element) continue;
      first ??= element;
      for (let at = element; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    }
    if (name.length > 1) first?.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
  document.querySelector(".language").addEventListener("click", (event) => {
    const open = [...document.querySelectorAll("details[open][id]")];
    const top = [...document.querySelectorAll("main [id]")].filter((e) => e.getBoundingClientRect().top <= 80).pop();
    const parts = [...new Set([...(top && scrollY > 80 ? [top.id] : []), ...open.map((e) => e.id)])];
    const link = event.currentTarget;
    link.search = location.search;
    link.hash = parts.length ? parts.join("+") : location.hash;
  });
}

// What is too wide scrolls inside itself; then the keyboard must be able to get there.
function scrolling() {
  const mark = () => {
    for (const box of document.querySelectorAll(".scrolls")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", mark);
  document.addEventListener("toggle", mark, true);
  document.addEventListener("prep:shown", mark);
  mark();
}

function printing() {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("article details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of opened) part.open = false; });
}

// Marks what is known, and on the home page puts the first unknown questions of the path on top.
function progress() {
  const known = grades();
  for (const item of document.querySelectorAll(".questions [data-id]")) {
    item.classList.toggle("known", isKnown(item.dataset.id, known));
  }
  for (const count of document.querySelectorAll("[data-ids]")) {
    const ids = count.dataset.ids.split(" ");
    const n = ids.filter((id) => isKnown(id, known)).length;
    if (n) count.textContent = count.dataset.text.replace("{known}", n).replace("{n}", ids.length);
  }
  const next = document.getElementById("next");
  if (!next || !Object.keys(known).length) return;
  const waiting = [...document.querySelectorAll("#path li:not(.known)")].slice(0, 5);
  next.querySelector("ol").replaceChildren(...waiting.map((item) => {
    const line = document.createElement("li");
    const about = document.createElement("span");
    about.className = "tag";
    about.textContent = item.parentElement.dataset.topic;
    line.append(item.firstElementChild.cloneNode(true), " ", about);
    return line;
  }));
  const text = next.querySelector("p").dataset;
  next.querySelector("p").textContent = waiting.length ? text.personal : text.done;
  const due = Object.values(known).filter((card) => card.due <= Date.now()).length;
  const note = document.getElementById("due");
  note.hidden = !due;
  note.textContent = note.dataset.text.replace("{n}", due);
}

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  const field = document.getElementById("words");
  if (field) field.focus();
  else document.querySelector('.top a[href$="search.html"]').click();
});

theme();
copying();
places();
scrolling();
printing();
progress();
