(async () => {
  const places = document.querySelectorAll("[data-figure]");
  let drawn = 0;
  for (const place of places) {
    try {
      const item = JSON.parse(document.getElementById(place.dataset.figure).textContent);
      await Bokeh.embed.embed_item(item, place);
      drawn += 1;
    } catch (error) {
      place.textContent = "This figure could not be drawn here (" + error.message + "). Its numbers are in the tables.";
    }
  }
  document.documentElement.dataset.figuresDrawn = drawn + " of " + places.length;
})();
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
