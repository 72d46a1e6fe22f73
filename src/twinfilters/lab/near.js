// Fetches the lab's script when the lab comes near, and the page itself is there.

const script = new URL(LAB, document.currentScript.src);

function fetchLab() {
  const element = document.createElement("script");
  element.src = script;
  document.head.append(element);
}

function watchLabs() {
  const roots = document.querySelectorAll(".tf-lab");
  // Whoever follows a link to a run has come for the lab.
  if (/[#&][a-z_]+=/.test(location.hash)) return void fetchLab();
  const nearby = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      nearby.disconnect();
      fetchLab();
    },
    { rootMargin: "600px" },
  );
  for (const root of roots) nearby.observe(root);
}

if (document.readyState === "complete") watchLabs();
else addEventListener("load", watchLabs);
