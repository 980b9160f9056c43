// Pruning of token passing: the same as pruning.py, digit by digit.

#include <algorithm>
#include <cmath>
#include <utility>

#include "frames.h"

namespace mimic {
namespace {

constexpr int32_t kGone = -1;

double over_best(const Link& link, const Arcs& arcs, const Frame& before, const Frame& after) {
  return before.cost[link.source] + arcs.table[link.arc].cost + link.acoustic - after.cost[link.target];
}

template <typename T>
void shorten(std::vector<T>* rows, size_t size) {
  if (size == rows->size()) return;
  rows->resize(size);
  rows->shrink_to_fit();
}

// Drop epsilon links of a frame; its tokens' extra costs take those that stay into account.
void prune_epsilon(Frame* frame, const Arcs& arcs, double lattice_beam, std::vector<double>* extra) {
  for (bool changed = true; changed;) {  // chains of epsilon arcs are short
    changed = false;
    for (size_t i = frame->epsilon.size(); i-- > 0;) {
      const Link& link = frame->epsilon[i];
      const double value = over_best(link, arcs, *frame, *frame) + (*extra)[link.target];
      if (!(value < (*extra)[link.source])) continue;
      (*extra)[link.source] = value;
      changed = true;
    }
  }
  size_t kept = 0;
  for (const Link& link : frame->epsilon) {
    const double value = over_best(link, arcs, *frame, *frame) + (*extra)[link.target];
    if (value <= lattice_beam) frame->epsilon[kept++] = link;
  }
  shorten(&frame->epsilon, kept);
}

// Drop the tokens of a frame that no link leaves any more.
void prune_tokens(Frame* frame, Frame* later, std::vector<double>* extra) {
  std::vector<int32_t> place(extra->size(), kGone);
  int32_t alive = 0;
  for (size_t i = 0; i < place.size(); ++i) {
    if (!std::isfinite((*extra)[i])) continue;
    place[i] = alive;
    frame->cost[alive] = frame->cost[i];
    (*extra)[alive++] = (*extra)[i];
  }
  shorten(&frame->cost, alive);
  extra->resize(alive);
  size_t kept = 0;
  for (Link link : frame->emitting) {
    link.target = place[link.target];
    if (link.target != kGone) frame->emitting[kept++] = link;
  }
  shorten(&frame->emitting, kept);
  for (Link& link : frame->epsilon) {
    link.source = place[link.source];
    link.target = place[link.target];
  }
  for (Link& link : later->emitting) link.source = place[link.source];
}

}  // namespace

void prune(std::vector<Frame>* frames, const Arcs& emitting, const Arcs& epsilon, size_t begin,
           std::vector<double> extra, double lattice_beam) {
  const size_t last = frames->size() - 1;
  for (size_t number = last;; --number) {
    Frame& frame = (*frames)[number];
    prune_epsilon(&frame, epsilon, lattice_beam, &extra);
    if (number == begin) return;
    if (number < last) prune_tokens(&frame, &(*frames)[number + 1], &extra);
    const Frame& earlier = (*frames)[number - 1];
    std::vector<double> before(earlier.cost.size(), kInfinity);
    size_t kept = 0;
    for (const Link& link : frame.emitting) {
      const double value = over_best(link, emitting, earlier, frame) + extra[link.target];
      if (!(value <= lattice_beam)) continue;
      before[link.source] = std::min(before[link.source], value);
      frame.emitting[kept++] = link;
    }
    shorten(&frame.emitting, kept);
    extra.swap(before);
  }
}

}  // namespace mimic
