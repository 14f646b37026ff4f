// Loaded before the page is painted, so that a chosen theme shows at once.
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch { /* storage is switched off: the system's theme it is */ }
