// Search over both languages: words by their beginning, Chinese by every two neighbouring characters.
"use strict";

const STOP = new Set(("a an and are as at be but by can do does for from has have how if in is it its not of on one or so "
  + "than that the then there they this to was what when which why with you your").split(" "));

// The same as grader/site/search.py does to the texts, but the last word may be unfinished.
function queryTokens(query) {
  const found = [];
  for (const run of query.toLowerCase().match(/[a-z0-9_]+|[\u3400-\u9fff]+/g) || []) {
    if (run[0] >= "\u3400") {
      for (let i = 0; i < Math.max(1, run.length - 1); i++) found.push(run.slice(i, i + 2));
    } else {
      found.push(run.slice(0, 24));
    }
  }
  const telling = found.filter((token) => !STOP.has(token));
  return [...new Set(telling.length ? telling : found)];
}

function decode({ documents, terms }) {
  const lines = terms.split("\n");
  const words = lines.map((line) => line.slice(0, line.indexOf(" ")));
  const pages = lines.map((line) => line.slice(line.indexOf(" ") + 1));
  return { documents, words, pages, folded: documents.map((row) => row[3].toLowerCase()) };
}

function postings(index, at) {
  let number = 0;
  return index.pages[at].split(",").map((delta) => (number += parseInt(delta, 36)));
}

// Documents with a word that begins like this: number -> 2 for the whole word, 1 for its beginning.
function matches(index, token) {
  const found = new Map();
  const add = (at, weight) => {
    for (const n of postings(index, at)) found.set(n, Math.max(weight, found.get(n) || 0));
  };
  if (token.length === 1 && token >= "\u3400") { // one character: anywhere in a pair
    index.words.forEach((word, at) => { if (word.includes(token)) add(at, 2); });
    return found;
  }
  const starts = token.length > 3 && /^[a-z]+[^s]s$/.test(token) ? token.slice(0, -1) : token;
  let low = 0;
  let high = index.words.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (index.words[middle] < starts) low = middle + 1;
    else high = middle;
  }
  for (; low < index.words.length && index.words[low].startsWith(starts); low++) {
    add(low, index.words[low] === token || index.words[low] === starts ? 2 : 1);
  }
  return found;
}

// Pages with every token, best first; a page in both languages counts once, in `language` where that matches.
function search(index, query, language) {
  const tokens = queryTokens(query);
  if (!tokens.length) return [];
  const total = index.documents.length;
  const scores = new Map();
  tokens.forEach((token, position) => {
    const found = matches(index, token);
    const rarity = Math.log(1 + total / (1 + found.size));
    for (const [number, weight] of found) {
      if (position && !scores.has(number)) continue;
      const inTitle = index.folded[number].includes(token) ? 6 : 0;
      scores.set(number, (scores.get(number) || 0) + rarity * (weight + inTitle));
    }
    for (const number of scores.keys()) if (!found.has(number)) scores.delete(number);
  });
  const best = new Map();
  const ranked = [...scores].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  for (const [number, score] of ranked) {
    const row = index.documents[number];
    const other = best.get(row[0]);
    if (!other) best.set(row[0], { row, score });
    else if (row[1] === language) other.row = row;
  }
  return [...best.values()].map((hit) => hit.row);
}

function page() {
  const field = document.getElementById("words");
  const list = document.getElementById("results");
  const state = document.getElementById("search-state");
  const kinds = JSON.parse(list.dataset.kinds);
  const language = document.documentElement.lang.slice(0, 2);
  let index = null;
  let isLoading = false;

  window.prepIndex = (data) => { index = decode(data); show(); };
  const load = () => {
    if (isLoading) return;
    isLoading = true;
    const script = document.createElement("script");
    script.src = list.dataset.index;
    document.head.append(script);
  };

  const marked = (text, parts) => {
    const line = document.createElement("span");
    text.split(new RegExp(`(${parts.join("|")})`, "i")).forEach((part, i) => {
      if (i % 2) line.append(Object.assign(document.createElement("mark"), { textContent: part }));
      else line.append(part);
    });
    return line;
  };

  const show = () => {
    const query = field.value.trim();
    history.replaceState(null, "", query ? `?q=${encodeURIComponent(query)}` : location.pathname);
    if (query && !index) { load(); state.textContent = state.dataset.loading; return; }
    const tokens = queryTokens(query);
    const found = query ? search(index, query, language) : [];
    const parts = [...(query.toLowerCase().match(/[\u3400-\u9fff]{3,}/g) || []), ...tokens]; // whole words first
    const { none, count } = state.dataset;
    state.textContent = !tokens.length ? "" : found.length ? count.replace("{n}", found.length) : none;
    list.replaceChildren(...found.slice(0, 50).map(([path, lang, kind, title, lead]) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = list.dataset[lang] + path;
      link.append(marked(title, parts));
      const about = Object.assign(document.createElement("span"), { className: "tag", textContent: kinds[kind] });
      const text = document.createElement("p");
      text.append(marked(lead, parts));
      if (lang !== language) link.lang = text.lang = lang === "zh" ? "zh-Hans" : "en";
      item.append(link, " ", about, text);
      return item;
    }));
  };

  field.addEventListener("focus", load);
  field.addEventListener("input", (event) => { if (!event.isComposing) show(); });
  field.addEventListener("compositionend", show);
  field.form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
    list.querySelector("a")?.focus();
  });
  field.value = new URLSearchParams(location.search).get("q") || "";
  if (field.value) show();
  else field.focus();
}

if (typeof module === "object") module.exports = { decode, search, queryTokens };
else page();
