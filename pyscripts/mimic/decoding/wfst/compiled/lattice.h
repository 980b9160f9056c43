// Lattices as columns, see lattice.py.

#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "weights.h"

namespace mimic {

struct Lattice {  // arcs by columns; final states in any order
  std::vector<int32_t> source, target;
  std::vector<int64_t> word;
  std::vector<Weight> weight;
  std::vector<std::pair<int32_t, Weight>> final;
  Pool pool;  // of the ids, where they do not lie elsewhere

  int32_t states() const;

  // States such that every arc leads to a later one; fewer than all where there is a cycle. As Lattice.topological.
  std::vector<int32_t> topological() const;

  // Drop arcs from which no final state is reached; the states that are left keep their order.
  void connect();
};

// Determinise as determinize.py does; `effective` becomes the beam that was reached, where that is less. False: a
// cycle.
bool determinize(const Lattice& lattice, double beam, int64_t max_elements, Lattice* out, double* effective);

}  // namespace mimic
