// What is wider than its box scrolls: then it must be reachable by the keyboard too.
"use strict";

const reachable = () => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .equation")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
addEventListener("load", reachable);
addEventListener("resize", reachable);
