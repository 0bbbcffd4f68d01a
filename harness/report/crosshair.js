// Shows the values of all charts over time, or by percentile, at the place under the pointer.
{
  const charts = JSON.parse(document.getElementById("readings").textContent);
  const spoken = document.createElement("p");
  spoken.className = "spoken";
  spoken.setAttribute("aria-live", "polite");
  document.querySelector("main").append(spoken);

  const number = (value) => value === null ? "–" : value.toLocaleString("en",
    Math.abs(value) >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
  const withUnit = (value, unit) => number(value) + (unit && value !== null ? (unit[0] === "/" ? "" : "\u202f") + unit : "");
  const isTime = (chart) => chart.axis === "time";
  // Values of a second are drawn in its middle.
  const share = (chart, place) => isTime(chart)
    ? (place + chart.step / 2 - chart.start) / (chart.end - chart.start)
    : Math.log(place) / Math.log(chart.end);
  const placeAt = (chart, part) => isTime(chart)
    ? chart.start + part * (chart.end - chart.start)
    : chart.end ** part;
  const indexAt = (chart, place) => {
    const index = chart.at.findLastIndex((one) => one <= place);
    return isTime(chart) && place >= chart.at[index] + chart.step ? -1 : index;
  };
  const named = (chart, index) => {
    const at = chart.at[index];
    if (!isTime(chart)) return `${Number((100 - 100 / at).toFixed(7))}\u202f%`;
    return (chart.step > 1 ? `${at}–${at + chart.step}` : `${at}`) + "\u202fs";
  };
  const readingsOf = (chart, index) =>
    chart.series.map(([name, unit, values]) => [name, withUnit(values[index], unit)]);

  const plots = [];
  const hide = () => plots.forEach((plot) => plot.move(-1));
  const show = (axis, place) => {
    for (const plot of plots) plot.move(plot.chart.axis === axis ? indexAt(plot.chart, place) : -1);
  };

  const addPlot = (chart, title, plot) => {
    const svg = plot.querySelector("svg"), { width, height } = svg.viewBox.baseVal;
    const { left, right, top, bottom } = charts.frame;
    const line = document.createElementNS(svg.namespaceURI, "line");
    line.classList.add("crosshair");
    line.setAttribute("y1", top);
    line.setAttribute("y2", height - bottom);
    const box = document.createElement("div");
    box.className = "reading";
    const self = { chart, index: -1 };
    self.move = (index) => {
      self.index = index;
      if (index < 0) { line.remove(); box.remove(); return; }
      const part = Math.min(share(chart, chart.at[index]), 1);
      const x = left + part * (width - left - right);
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      const heading = document.createElement("b");
      heading.textContent = named(chart, index);
      box.replaceChildren(heading, ...readingsOf(chart, index).flatMap((texts) => texts.map((text) => {
        const cell = document.createElement("span");
        cell.textContent = text;
        return cell;
      })));
      box.style.left = part < 0.5 ? `${100 * x / width + 1}%` : "auto";
      box.style.right = part < 0.5 ? "auto" : `${100 * (1 - x / width) + 1}%`;
      svg.append(line);
      plot.append(box);
    };
    plots.push(self);

    const point = (event) => {
      const frame = svg.getBoundingClientRect();
      const x = (event.clientX - frame.left) / frame.width * width;
      const part = (x - left) / (width - left - right);
      if (part < 0 || part >= 1) hide();
      else show(chart.axis, placeAt(chart, part));
    };
    const step = (index) => {
      const bounded = Math.min(Math.max(index, 0), chart.at.length - 1);
      show(chart.axis, chart.at[bounded]);
      spoken.textContent = `${named(chart, bounded)}: ` +
        readingsOf(chart, bounded).map((texts) => texts.join(" ")).join(", ");
    };
    const keys = {
      ArrowRight: () => step(self.index + 1), ArrowLeft: () => step(self.index - 1),
      PageDown: () => step(self.index + 10), PageUp: () => step(self.index - 10),
      Home: () => step(0), End: () => step(chart.at.length - 1), Escape: hide,
    };
    plot.tabIndex = 0;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", `${title}: arrow keys read its values`);
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerdown", point);
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      keys[event.key]();
    });
  };

  for (const figure of document.querySelectorAll("figure.chart")) {
    const chart = charts.readings[figure.id];
    if (!chart) continue;
    const title = figure.querySelector("h2").textContent;
    for (const plot of figure.querySelectorAll(".wide, .narrow")) addPlot(chart, title, plot);
  }
}
