// Flash cards with growing intervals, remembered in this browser.
"use strict";

const DAY = 86400000;

// SM-2 in short: "again" comes back at once, "good" multiplies the interval by the card's ease.
function graded(card, grade, now) {
  const { days = 0, ease = 2.5 } = card || {};
  const next = {
    1: { days: 0, ease: Math.max(1.3, ease - 0.2) },
    2: { days: Math.max(1, days * 1.2), ease: Math.max(1.3, ease - 0.15) },
    3: { days: days < 1 ? 1 : Math.max(days + 1, days * ease), ease },
    4: { days: days < 1 ? 4 : Math.max(days + 2, days * ease * 1.3), ease: ease + 0.15 },
  }[grade];
  const whole = Math.min(365, Math.round(next.days));
  return { days: whole, ease: Math.round(next.ease * 100) / 100, due: now + whole * DAY, grade };
}

function trainer() {
  const $ = (id) => document.getElementById(id);
  const root = $("trainer");
  const deck = [...document.querySelectorAll("#deck a")];
  const filters = root.querySelector("form");
  const texts = {};
  let cards = [];
  let at = 0;
  let isTurned = false;

  // One small file for each card, loaded when it is needed: pages from disk may not fetch, but may load scripts.
  window.prepCard = ([id, asked, answer]) => {
    texts[id] = { asked, answer };
    if (cards[at]?.dataset.id === id) fill(id);
  };
  const load = (link) => {
    if (!link || link.dataset.id in texts) return;
    texts[link.dataset.id] = null;
    const script = document.createElement("script");
    script.src = `cards/${link.dataset.id}.js`;
    document.head.append(script);
  };
  const fill = (id) => {
    $("card-asked").innerHTML = texts[id]?.asked || "";
    $("card-answer").innerHTML = texts[id]?.answer || "";
    document.dispatchEvent(new Event("prep:shown"));
  };

  const choose = () => {
    const { topic, level, which } = Object.fromEntries(new FormData(filters));
    const known = grades();
    const now = Date.now();
    cards = deck.filter((link) => (!topic || link.dataset.topic === topic) && (!level || link.dataset.level === level)
      && (which === "all" || !known[link.dataset.id] || known[link.dataset.id].due <= now));
    if (which === "due") cards.sort((a, b) => (a.dataset.id in known ? 0 : 1) - (b.dataset.id in known ? 0 : 1));
    at = 0;
    show();
  };

  const show = () => {
    const link = cards[at];
    $("card").hidden = !link;
    $("card-done").hidden = Boolean(link);
    turn(false);
    if (!link) return;
    const names = (name) => filters[name].querySelector(`[value="${link.dataset[name]}"]`).textContent;
    $("card-about").textContent = `${names("topic")} · ${names("level")}`;
    $("card-position").textContent = root.dataset.position.replace("{i}", at + 1).replace("{n}", cards.length);
    $("card-title").textContent = link.textContent;
    $("card-title").lang = link.firstElementChild?.lang || "";
    $("card-page").href = link.href;
    $("card-previous").disabled = at === 0;
    $("card-next").disabled = at === cards.length - 1;
    load(link);
    load(cards[at + 1]);
    fill(link.dataset.id);
    for (const button of root.querySelectorAll("[data-grade]")) {
      const { days } = graded(grades()[link.dataset.id], Number(button.dataset.grade), 0);
      button.querySelector("small").textContent = days ? root.dataset.days.replace("{n}", days) : root.dataset.now;
    }
  };

  const turn = (on) => {
    isTurned = on;
    $("card-back").hidden = !on;
    $("card-flip").hidden = on;
    document.dispatchEvent(new Event("prep:shown"));
  };

  const move = (step) => {
    if (!cards[at + step]) return;
    at += step;
    show();
    $("card-title").focus({ preventScroll: true });
    $("card").scrollIntoView({ block: "nearest" });
  };

  const grade = (value) => {
    const link = cards[at];
    if (!link || !isTurned) return;
    memory.set("prep.cards", JSON.stringify({
      ...grades(), [link.dataset.id]: graded(grades()[link.dataset.id], value, Date.now()),
    }));
    if (value === 1) cards.push(link); // once more before the end
    if (filters.which.value === "due") cards.splice(at, 1);
    else at = Math.min(at + 1, cards.length - 1);
    show();
    $("card-title").focus({ preventScroll: true });
  };

  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.grade) grade(Number(button.dataset.grade));
    else if (button.parentElement.id === "card-flip") { turn(true); $("card-title").focus({ preventScroll: true }); }
    else if (button.id === "card-previous") move(-1);
    else if (button.id === "card-next") move(1);
    else if (button.id === "card-forget" && confirm(root.dataset.sure)) { memory.set("prep.cards", "{}"); choose(); }
  });

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === " ") {
      if (/^(BUTTON|A|SUMMARY)$/.test(event.target.tagName)) return; // there, space already means something
      turn(!isTurned);
    } else if (event.key === "ArrowLeft") move(-1);
    else if (event.key === "ArrowRight") move(1);
    else if (/^[1-4]$/.test(event.key)) grade(Number(event.key));
    else return;
    event.preventDefault();
  });

  const asked = new URLSearchParams(location.search);
  for (const name of ["topic", "level"]) {
    if (filters[name].querySelector(`[value="${CSS.escape(asked.get(name) || "")}"]`)) filters[name].value = asked.get(name) || "";
  }
  filters.addEventListener("change", choose);
  filters.addEventListener("submit", (event) => event.preventDefault());
  root.hidden = false;
  choose();
}

if (typeof module === "object") module.exports = { graded };
else trainer();
