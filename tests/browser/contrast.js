/* Gives the kinds of text in answers that stand out too little from what is behind them: below 4.5 (WCAG 2, AA). */
(which = ":not(style, mjx-container *, [hidden] *)", least = 4.5, where = ".cozeloop-run") => {
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (color, behind) => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = color;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
    return [r, g, b].map((part, i) => (part * a + behind[i] * (255 - a)) / 255);
  };
  const light = (color) => {
    const [r, g, b] = color.map((part) => part / 255).map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const behind = (node) => {
    const below = node.parentElement ? behind(node.parentElement) : [255, 255, 255];
    return over(getComputedStyle(node).backgroundColor, below);
  };
  const found = {};
  for (const node of document.querySelectorAll(`${where} ${which}`)) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
    const back = behind(node);
    const [low, high] = [light(back), light(over(getComputedStyle(node).color, back))].sort((a, b) => a - b);
    if (high / low < least) found[`${node.parentElement.className} ${node.tagName} ${node.className}`] = high / low;
  }
  return found;
}
