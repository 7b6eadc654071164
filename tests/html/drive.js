/* Appended to a copy of a page by run_html.sh, after `expected`: does what a reader does and comes to TAP that says what was found.
 * Nothing of the page is called; events go in, and the DOM and the pixels come out. */
const tap = (async () => {
"use strict";
let said = "";
const id = name => document.getElementById(name);
const say = text => { said += text + "\n"; };
const ok = (holds, name, found) => say((holds ? "ok - html: " : "not ok - html: ") + name +
                                      (holds ? "" : "\n# found " + JSON.stringify(found)));
/* Until what was asked for is drawn: the page draws before the next frame. */
const frame = () => new Promise(done => { requestAnimationFrame(done); setTimeout(done, 2000); });
const rest = async ms => {
  await new Promise(done => setTimeout(done, ms || 1));
  await frame();
  await frame();
};
const stage = id("stage"), overlay = id("overlay");
const tile = name => document.querySelector(`.tile[aria-label="${name}"]`);
const key = async (k, to, more) => {
  (to || stage).dispatchEvent(new KeyboardEvent("keydown", Object.assign({ key: k, bubbles: true, cancelable: true }, more)));
  await rest();
};
const pointer = async (type, y, x, more) => { /* the middle of a cell of 16 px */
  const box = stage.getBoundingClientRect();
  stage.dispatchEvent(new PointerEvent(type, Object.assign({ bubbles: true, button: 0, pointerType: "mouse",
    clientX: box.left + (16 * x + 8) / expected.w * box.width, clientY: box.top + (16 * y + 8) / expected.h * box.height }, more)));
  await rest();
};
const choose = async (name, value) => {
  const input = document.querySelector(`input[name="${name}"][value="${value}"]`);
  input.checked = true;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  await rest();
};
const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const pixel = (canvas, v, u) => {
  copy.clearRect(0, 0, 1, 1);
  copy.drawImage(canvas, Math.floor(u * canvas.width), Math.floor(v * canvas.height), 1, 1, 0, 0, 1, 1);
  return [...copy.getImageData(0, 0, 1, 1).data];
};
const picture = canvas => canvas.toDataURL();
const text = name => id(name).textContent;

try {
  await rest(300);
  ok(document.documentElement.classList.contains("scripted") && overlay.width > 1, "the page begins", overlay.width);
  ok(document.querySelectorAll(".tile").length === expected.tiles, "every block and head has a map", document.querySelectorAll(".tile").length);

  /* keys */
  await pointer("pointerdown", 3, 4);
  ok(/of cell 3,4/.test(document.querySelector("#attention .of").textContent), "a click keeps a cell", document.querySelector("#attention .of").textContent);
  const before = picture(tile(expected.rows[0].tile).querySelector("canvas"));
  await key("ArrowRight");
  await key("ArrowDown");
  ok(/of cell 4,5/.test(document.querySelector("#attention .of").textContent), "arrow keys move the cell", document.querySelector("#attention .of").textContent);
  ok(picture(tile(expected.rows[0].tile).querySelector("canvas")) !== before, "the maps follow the cell");
  await key("Home");
  ok(/of cell 4,0/.test(document.querySelector("#attention .of").textContent), "Home goes to the first cell of the row");
  await key("ArrowLeft");
  ok(/of cell 4,0/.test(document.querySelector("#attention .of").textContent), "the cell stays on the picture");
  await key("ArrowRight", stage, { ctrlKey: true });
  ok(/of cell 4,0/.test(document.querySelector("#attention .of").textContent), "keys with Ctrl are the browser's");
  await key("1");
  ok(new RegExp("^" + expected.first).test(text("shown")), "1 shows the first block", text("shown"));
  await key("PageDown");
  ok(!new RegExp("^" + expected.first).test(text("shown")), "Page Down shows the next block", text("shown"));
  await key(String(expected.attention));
  ok(/mean of \d+ heads: attention of cell 4,0/.test(text("shown")), "a digit shows a block of attention", text("shown"));
  await key("+");
  ok(/head 0: attention/.test(text("shown")), "+ shows its first head", text("shown"));
  await key("+");
  await key("-");
  await key("-");
  ok(/mean of \d+ heads/.test(text("shown")), "- goes back to the mean", text("shown"));
  await rest(400);
  ok(text("say").includes(text("shown")) && id("say").getAttribute("aria-live") === "polite", "a screen reader is told", text("say"));
  await key("0");
  ok(/^Evidence by held: For /.test(text("shown")), "0 shows the evidence", text("shown"));
  ok(/^The 2 \u00d7 2 cells from 8,0 of /.test(text("finding")), "cells of a method's map add up in a cell", text("finding"));
  ok(/^sum of cells .*biases .* = +logit /.test(text("proof")), "a method says what its map adds up to", text("proof"));
  const by = id("method"), maps = [...by.options].map(o => o.textContent), seen = picture(overlay);
  ok(maps.length === 4 && /^held: .* over /.test(maps[2]), "the method has three maps, and the exact CAM is beside them", maps);
  for (const value of ["2", "-1"]) {
    by.value = value;
    by.dispatchEvent(new Event("change"));
    await rest();
    ok(picture(overlay) !== seen, "another map is drawn: " + value);
  }
  ok(/^Evidence for /.test(text("shown")), "the exact CAM is that of a class", text("shown"));

  /* pointing */
  await pointer("pointermove", 6, 7);
  ok(/of cell 6,7/.test(document.querySelector("#attention .of").textContent), "pointing shows a cell");
  stage.dispatchEvent(new PointerEvent("pointerleave", { pointerType: "mouse" }));
  await rest();
  ok(/of cell 4,0/.test(document.querySelector("#attention .of").textContent), "leaving the picture goes back to the kept cell");
  await pointer("pointerdown", 2, 2, { pointerType: "touch" });
  ok(/of cell 2,2/.test(document.querySelector("#attention .of").textContent), "a tap keeps a cell");

  /* pixels against the numbers of a dump */
  await choose("drawn", "cells");
  for (const row of expected.rows) {
    await pointer("pointerdown", row.y, row.x);
    const button = tile(row.tile), canvas = button.querySelector("canvas");
    button.scrollIntoView();
    await rest(150);
    let wrong = null;
    for (const c of row.cells) {
      const found = pixel(canvas, (c.y + 0.5) / row.h, (c.x + 0.5) / row.w);
      if (!c.colours.some(k => k.every((v, i) => v === found[i])))
        wrong = wrong || { cell: [c.y, c.x], found, expected: c.colours };
    }
    ok(!wrong && row.cells.length > 0, `${row.tile}: cell ${row.y},${row.x} has the colours of its ${row.cells.length} values`, wrong);
    const most = parseFloat(button.querySelector(".label span").textContent);
    ok(Math.abs(most - row.most) <= Math.max(0.051, 0.051 * row.most), `${row.tile}: its largest value`, [most, row.most]);
    button.click();
    await rest();
    ok(text("finding").includes(`Looks most at cell ${row.best}`), `${row.tile}: where it looks most`, text("finding"));
    const c = row.cells[0], big = pixel(overlay, (c.y + 0.5) * row.cell / expected.h, (c.x + 0.5) * row.cell / expected.w);
    ok(c.colours.some(k => k.every((v, i) => v === big[i])), `${row.tile}: the large picture has the same colour`, big);
  }

  /* classes */
  await key("0");
  const proof = text("proof"), shown = picture(overlay), select = id("class"), against = id("against");
  select.value = "1";
  select.dispatchEvent(new Event("change"));
  await rest();
  ok(picture(overlay) !== shown && text("proof") !== proof, "another class has another map");
  ok(document.querySelector("#answers tr[aria-current=true] button").textContent === expected.classes[1], "its answer is marked");
  const numbers = s => s.replace(/\u2212/g, "-").match(/[+-]\d+\.\d+/g).map(Number);
  let [mean, logit, over] = numbers(text("proof"));
  ok(Math.abs(logit - expected.logits[1]) < 0.006 && Math.abs(mean - (logit - over)) < 0.1, "its mean is its logit less the mean", [mean, logit, over]);
  select.value = "0";
  select.dispatchEvent(new Event("change"));
  against.value = "1";
  against.dispatchEvent(new Event("change"));
  await rest();
  [mean, logit, over] = numbers(text("proof"));
  ok(Math.abs(logit - expected.logits[0]) < 0.006 && Math.abs(over - expected.logits[1]) < 0.006 && Math.abs(mean - (logit - over)) < 0.1,
     "over another class it is the margin", text("proof"));
  document.querySelectorAll("#answers button")[1].click();
  await rest();
  ok(id("class").value === "1" && id("against").value === "-1", "an answer is a button", [id("class").value, id("against").value]);

  /* looks */
  await choose("drawn", "overlay");
  const opaque = picture(overlay), slider = id("opacity");
  slider.value = "0";
  slider.dispatchEvent(new Event("input"));
  await rest();
  const grey = pixel(overlay, 0.31, 0.37);
  ok(Math.abs(grey[0] - grey[1]) <= 2 && Math.abs(grey[1] - grey[2]) <= 2, "without opacity the picture is grey", grey);
  ok(picture(overlay) !== opaque, "the opacity changes the overlay");
  const steps = { moveTo: 0, lineTo: 0 }, plain = {};
  for (const name in steps) {
    plain[name] = Path2D.prototype[name];
    Path2D.prototype[name] = function (...p) { steps[name]++; plain[name].apply(this, p); };
  }
  slider.value = "65";
  slider.dispatchEvent(new Event("input"));
  await rest();
  Object.assign(Path2D.prototype, plain);
  ok(steps.moveTo > 0 && steps.lineTo > 4 * steps.moveTo, "lines of equal value are whole, as each begins its dashes anew", steps);
  await choose("drawn", "photo");
  ok(picture(overlay) !== opaque, "the picture alone can be shown");
  await choose("drawn", "overlay");
  ok(picture(overlay) === opaque, "all of it can be undone");
  await choose("theme", "dark");
  const dark = getComputedStyle(document.body).backgroundColor;
  await choose("theme", "light");
  ok(dark === "rgb(16, 19, 24)" && getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)", "the theme can be chosen", dark);

  /* for readers without eyes or a pointer */
  const stops = [...document.querySelectorAll("input, select, button, summary, [tabindex]")]
    .filter(e => e.tabIndex >= 0 && !e.disabled && e.offsetParent !== null);
  const names = stops.map(e => e.id || e.name || e.className || e.tagName.toLowerCase());
  ok(names.indexOf("theme") < names.indexOf("stage") && names.indexOf("stage") < names.indexOf("opacity") &&
     names.indexOf("opacity") < names.indexOf("class") && names.filter(n => n === "tile").length === expected.sections,
     "the Tab key goes through in order, once for each section of maps", names);
  const first = document.querySelector("#attention .tile"), all = [...document.querySelectorAll("#attention .tile")];
  first.focus();
  await key("ArrowRight", first);
  ok(document.activeElement === all[1] && all[1].tabIndex === 0 && first.tabIndex === -1, "arrow keys walk among the maps");
  ok([...document.querySelectorAll("input, select, button, canvas[role=img], [role=application]")].every(e =>
     e.getAttribute("aria-label") || e.textContent.trim() || (e.labels && e.labels.length)), "every control has a name");
  id("cell-table").open = true;
  await rest(200);
  ok(document.querySelectorAll("#cell-table tbody tr").length === expected.blocks, "the chosen cell has a table, a row for each block");
  ok(document.querySelectorAll("#block-table tbody tr").length === expected.blocks, "every block has its figures in a table");
  ok(id("photo").alt.length > 0, "the picture has a name");
  ok(document.documentElement.scrollWidth <= document.documentElement.clientWidth, "nothing is wider than the window",
     [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  const loads = performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).map(e => e.name);
  ok(loads.length === 0, "nothing is loaded", loads);
} catch (e) {
  ok(false, "the test itself: " + e.message + " " + e.stack);
}
return said + "# end";
})();
