// A browser shows a notebook beside a page that was opened from a file, and does not save it: say where it is.
const fromFile = document.querySelector(".tf-run-from-file");
if (fromFile && location.protocol === "file:") {
  fromFile.hidden = false;
  document.querySelector(".tf-run-download").target = "_blank";
}
