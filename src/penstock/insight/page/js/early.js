// A plain script, run before the first paint: the remembered theme must not flash.
{
  let remembered = null;
  try {
    remembered = window.localStorage.getItem("penstock-theme");
  } catch {
    // storage is forbidden here: the system's preference stands
  }
  if (remembered === "dark" || remembered === "light") {
    document.documentElement.dataset.theme = remembered;
  }
}
