// A cursor over all plots at once. The page says everything without it.
(() => {
  const [left, right, width, step, count] = document.getElementById("axis").dataset.axis.split(",").map(Number);
  const plots = [...document.querySelectorAll("svg.plot")];
  const entries = [...document.querySelectorAll("li[data-values]")].map((li) => ({
    output: li.querySelector("output"),
    values: li.dataset.values.split("|"),
  }));
  const hide = () => {
    for (const plot of plots) plot.querySelector(".cursor").style.visibility = "hidden";
    for (const entry of entries) entry.output.textContent = "";
  };
  const show = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const share = (x - left) / (right - left);
    const place = Math.floor(share / step);
    if (share < 0 || share > 1 || place >= count) return hide();
    for (const plot of plots) {
      const cursor = plot.querySelector(".cursor");
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.style.visibility = "visible";
    }
    for (const entry of entries) entry.output.textContent = entry.values[place] || "";
  };
  for (const plot of plots) {
    plot.addEventListener("pointermove", show);
    plot.addEventListener("pointerleave", hide);
  }
})();
