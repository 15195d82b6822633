// Long lists: only what is seen is on the page.
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "@tanstack/virtual-core";
import { h } from "./dom.js";

/**
 * A list of rows of one height. `key(index)` names a row, `render(index, row)` makes it, or brings the one that is there up to date: a row that
 * went away between the two halves of a click would not be clicked.
 */
export class Rows {
  constructor({ height, key = (index) => index, render, classes = "", label = "" }) {
    Object.assign(this, { height, key, render });
    this.count = 0;
    this.shown = new Map();
    this.space = h("div.space");
    this.element = h(`div.rows${classes}`, { tabIndex: 0, "aria-label": label || null }, this.space);
    this.virtual = new Virtualizer(this.options());
    this.stop = this.virtual._didMount();
    // Its size is known once it is on the page.
    this.observer = new ResizeObserver(() => this.update());
    this.observer.observe(this.element);
  }

  options() {
    return {
      count: this.count,
      getScrollElement: () => this.element,
      estimateSize: () => this.height,
      overscan: 12,
      scrollToFn: elementScroll,
      observeElementRect,
      observeElementOffset,
      onChange: () => this.draw(),
    };
  }

  /** There are so many now, and they may be others. */
  update(count = this.count) {
    this.count = count;
    this.virtual.setOptions(this.options());
    this.virtual._willUpdate();
    this.draw();
  }

  draw() {
    this.space.style.height = `${this.virtual.getTotalSize()}px`;
    const before = this.shown;
    this.shown = new Map();
    for (const item of this.virtual.getVirtualItems()) {
      if (item.index >= this.count) continue;
      const key = this.key(item.index);
      const old = before.get(key);
      const row = this.render(item.index, old);
      row.style.transform = `translateY(${item.start}px)`;
      this.shown.set(key, row);
      if (row !== old) {
        old?.remove();
        row.style.height = `${this.height}px`;
        this.space.append(row);
      }
      before.delete(key);
    }
    for (const row of before.values()) row.remove();
  }

  /** Makes all rows anew. */
  reset(count) {
    for (const row of this.shown.values()) row.remove();
    this.shown.clear();
    this.update(count);
  }

  show(index, align = "auto") {
    if (index >= 0 && index < this.count) this.virtual.scrollToIndex(index, { align });
  }

  close() {
    this.observer.disconnect();
    this.stop();
  }
}
