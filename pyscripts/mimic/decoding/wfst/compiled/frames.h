// Decoding graphs, and what token passing records, as in graph_file.py and pruning.py.

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace mimic {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Arc {  // a row of Arcs.table of graph_file.py
  int32_t tid, word;
  float cost;
  int32_t target;
};

struct Arcs {  // those of state s: from first[s] to first[s + 1]
  const int64_t* first;
  const Arc* table;
};

struct Link {  // tokens from and to, the arc, its acoustic cost; 0 of an epsilon arc
  int32_t source, target, arc;
  float acoustic;
};

struct Frame {  // costs of the tokens after a frame, links from the frame before to them, links between them
  std::vector<double> cost;
  std::vector<Link> emitting, epsilon;
};

// Drop the links and tokens after frame `begin` whose extra cost is above the lattice beam. The extra cost of a token
// or link: the cost of the best path through it, less that of the best path of all; `extra`: that of the last frame's
// tokens.
void prune(std::vector<Frame>* frames, const Arcs& emitting, const Arcs& epsilon, size_t begin,
           std::vector<double> extra, double lattice_beam);

}  // namespace mimic
