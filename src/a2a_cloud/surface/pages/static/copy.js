// A button that copies a block of code.

export function copyText(text, button) {
  const was = button.dataset.label ?? button.textContent;
  button.dataset.label = was;
  const tell = (word) => {
    button.textContent = word;
    setTimeout(() => { button.textContent = was; }, 1500);
  };
  // Browsers give the clipboard to https and localhost alone.
  const written = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard here"));
  written.then(() => tell("Copied"), () => prompt("Copy this:", text));
}

export function addCopyButtons(root) {
  for (const block of root.querySelectorAll("pre.code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    const text = block.querySelector("code").textContent;
    button.addEventListener("click", () => copyText(text, button));
    block.append(button);
  }
}
