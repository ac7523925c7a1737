// What the reviewer says of each structure, saved as a file.
class Answers {
  constructor(form, data) {
    Object.assign(this, { form, data, seconds: 0 });
    this.rows = [...form.querySelectorAll("tr[data-value]")].map((row) => ({
      row, value: Number(row.dataset.value), reason: row.querySelector("select"),
      text: row.querySelector("textarea"), ml: row.querySelector(".edited"),
      choices: [...row.querySelectorAll("input[type=radio]")],
    }));
    this.reviewer = form.querySelector(".reviewer");
    this.told = form.querySelector(".told");
    this.rest = form.querySelector(".rest");
    const finder = form.querySelector(".sift"), name = (row) => row.querySelector("th").textContent;
    this.finder = finder && sift(finder, this.rows.map(({ row }) => row), name, (some) => {
      this.rest.textContent = some ? "Accept those shown" : "Accept the rest";
    });
    form.addEventListener("input", () => this.note());
    this.rest.addEventListener("click", () => this.acceptRest());
    form.querySelector(".save").addEventListener("click", () => this.save());
    setInterval(() => { if (!document.hidden) this.seconds++; }, 1000);
    window.addEventListener("beforeunload", (event) => { if (this.unsaved) event.preventDefault(); });
    form.hidden = false;
  }

  attach(viewer) {
    this.viewer = viewer;
    viewer.root.addEventListener("edited", () => this.edited());
  }

  answer({ choices }) { return choices.find((choice) => choice.checked)?.value ?? ""; }

  changed(value) { return this.viewer?.editor?.changed.get(value) ?? 0; }

  edited() {
    for (const one of this.rows) {
      const changed = this.changed(one.value), answer = this.answer(one);
      if (changed && answer !== "edit" && answer !== "reject") this.choose(one, "edit");  // a reject stays one
      if (!changed && one.was && answer === "edit") this.choose(one, "");  // all of it was undone
      one.was = changed;
      one.ml.textContent = changed ? `corrected: ${significant(this.viewer.editor.ml(one.value))} ml` : "";
    }
    this.note();
  }

  choose({ choices }, answer) { for (const choice of choices) choice.checked = choice.value === answer; }

  note() {
    this.unsaved = true;
    for (const { row } of this.rows) row.classList.remove("missing");
    this.told.textContent = "";
  }

  acceptRest() {
    for (const one of this.rows) {
      if (!this.answer(one) && !one.row.classList.contains("sifted")) this.choose(one, "accept");
    }
    this.note();
  }

  // Rows that cannot be saved as they are, and why.
  wrong() {
    const open = this.rows.filter((one) => !this.answer(one));
    if (open.length) return [open, `${open.length} without an answer`];
    const bare = this.rows.filter((one) => this.answer(one) === "edit" && !this.changed(one.value));
    if (bare.length) return [bare, "said to be edited, but nothing was corrected: correct the outline, or reject it"];
    const kept = this.rows.filter((one) => this.answer(one) === "accept" && this.changed(one.value));
    if (kept.length) return [kept, "accepted, but its outline was changed: choose edit, or undo"];
    const lost = this.rows.some((one) => this.answer(one) === "edit") ? [] : this.rows.filter((one) => this.changed(one.value));
    return [lost, lost.length ? "rejected, but its outline was corrected: choose edit, or undo" : ""];
  }

  async save() {
    const [rows, why] = this.wrong();
    for (const { row } of rows) row.classList.add("missing");
    if (why) {
      this.told.textContent = `Not saved: ${why}.`;
      this.finder?.clear();
      rows[0].row.scrollIntoView({ block: "nearest" });
      return;
    }
    const { name, stored, ...identity } = this.data, editor = this.viewer?.editor, changed = editor?.total ?? 0;
    const edited = changed ? { file: `${name}_edited.nii.gz`, voxels_changed: changed } : null;
    const answers = this.rows.map((one) => ({
      value: one.value, answer: this.answer(one), reason: one.reason.value, text: one.text.value.trim(),
    }));
    const review = {
      ...identity, reviewer: this.reviewer.value.trim(), finished: new Date().toISOString(), seconds: this.seconds,
      answers, edited,
    };
    this.unsaved = false;  // before what takes time: strokes made meanwhile are not in the file
    try {
      // The mask first: a review without it is worth nothing.
      const mask = edited && await gzipped(nifti(this.viewer.labels, this.viewer.data.shape, stored));
      save(new Blob([JSON.stringify(review, null, 1)], { type: "application/json" }), `${name}_review.json`);
      if (mask) save(mask, edited.file);
    } catch (error) {
      this.unsaved = true;
      this.told.textContent = `Not saved: ${error.message}.`;
      return;
    }
    const bare = this.rows.filter((one) => this.answer(one) === "reject" && !one.reason.value && !one.text.value.trim());
    const unsaid = [
      ...(this.reviewer.value.trim() ? [] : [" No reviewer is named."]),
      ...(bare.length ? [" A structure was rejected without a reason."] : []),
    ].join("");
    const late = this.unsaved ? " What you changed meanwhile is not in it: save again." : "";
    this.told.textContent = `Saved ${name}_review.json${edited ? " and " + edited.file : ""} to your downloads.${unsaid}${late}`;
  }
}
