"use strict";
for (const films of document.querySelectorAll(".films")) {
  const frames = [...films.querySelectorAll("[data-step]")];
  const of = (frame) => Number(frame.dataset.step);
  const steps = [...new Set(frames.map(of))].sort((a, b) => a - b);
  const control = films.querySelector(".control");
  const [slider, shown] = [control.querySelector("input"), control.querySelector("output")];
  const show = () => {
    const step = steps[slider.value];
    shown.textContent = "step " + step.toLocaleString("en");
    slider.setAttribute("aria-valuetext", shown.textContent);
    for (const film of films.querySelectorAll(".film")) {
      const mine = [...film.querySelectorAll("[data-step]")];
      const reached = mine.filter((frame) => of(frame) <= step);
      const now = reached.length ? reached[reached.length - 1] : mine[0];
      for (const frame of mine) frame.classList.toggle("now", frame === now);
    }
  };
  slider.max = steps.length - 1;
  slider.value = slider.max;
  slider.addEventListener("input", show);
  control.hidden = steps.length < 2;
  show();
}
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const each of opened) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of opened) each.open = false;
});
