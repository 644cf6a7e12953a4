"use strict";
// Filters the gallery. Without it the page shows everything.
(() => {
  const byId = (id) => document.getElementById(id);
  const controls = byId("controls");
  if (!controls) return;
  const cards = [...byId("cards").children];
  const shown = byId("shown");
  const all = shown.textContent;
  const apply = () => {
    const kind = byId("kind").value;
    const label = byId("label").value;
    let count = 0;
    for (const card of cards) {
      card.hidden = (kind && card.dataset.kind !== kind) || (label && card.dataset.label !== label);
      count += card.hidden ? 0 : 1;
    }
    shown.textContent = kind || label ? `${count} of ${cards.length} cards match.` : all;
    byId("cards").classList.toggle("bare", !byId("outlines").checked);
  };
  controls.addEventListener("change", apply);
  controls.hidden = false;
  apply();
})();
