// What Python calls, see kernel.py. Functions that may lack memory give a negative number, or a null pointer.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "lattice.h"
#include "token_passing.h"

using mimic::Arc;
using mimic::Lattice;
using mimic::TokenPassing;

namespace {

template <typename Function>
int guarded(Function function) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

struct Columns {  // of arcs or final states: total and graph cost, end of each one's transition ids, those
  int64_t size;
  const int32_t *source, *target;
  const int64_t* word;
  const double *total, *graph;
  const int64_t* ids_end;
  const int32_t* ids;

  mimic::Weight weight(int64_t row) const {
    const int64_t begin = row > 0 ? ids_end[row - 1] : 0;
    return {total[row], graph[row], {ids + begin, static_cast<int32_t>(ids_end[row] - begin)}};
  }
};

Lattice lattice_of(const Columns& arcs, const Columns& final) {
  Lattice out;
  out.source.assign(arcs.source, arcs.source + arcs.size);
  out.target.assign(arcs.target, arcs.target + arcs.size);
  out.word.assign(arcs.word, arcs.word + arcs.size);
  out.weight.reserve(arcs.size);
  for (int64_t i = 0; i < arcs.size; ++i) out.weight.push_back(arcs.weight(i));
  for (int64_t i = 0; i < final.size; ++i) out.final.emplace_back(final.source[i], final.weight(i));
  return out;
}

}  // namespace

extern "C" {

TokenPassing* search_new(int64_t states, int64_t start, const float* final, const int64_t* emitting_first,
                         const Arc* emitting, const int64_t* epsilon_first, const Arc* epsilon,
                         const mimic::SearchOptions* options) {
  try {
    return new TokenPassing(states, start, final, {emitting_first, emitting}, {epsilon_first, epsilon}, *options);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void search_delete(TokenPassing* search) { delete search; }

// 1, or 0 where no token survives.
int search_pass(TokenPassing* search, const float* scores, int64_t frames, int64_t pdfs, const int32_t* column) {
  return guarded([=] { return search->pass(scores, frames, pdfs, column) ? 1 : 0; });
}

int search_reached_final(const TokenPassing* search) { return search->reached_final() ? 1 : 0; }

int search_finish(TokenPassing* search, int64_t* arcs, int64_t* finals) {
  return guarded([=] {
    search->finish(arcs, finals);
    return 1;
  });
}

int search_paths(const TokenPassing* search, const mimic::Paths* out) {
  return guarded([=] {
    search->paths(*out);
    return 1;
  });
}

// Give a lattice determinised. width: 0, or what words are multiplied by where a phone is added to each, for two
// passes. sizes: becomes the numbers of arcs, final states and transition ids. Result: 1, or 0 where there is a cycle.
int determinize(const Columns* arcs, const Columns* final, double beam, double acwt, int64_t max_elements,
                int64_t width, double* effective, int64_t* sizes, Lattice** result) {
  return guarded([=] {
    Lattice lattice = lattice_of(*arcs, *final);
    auto out = std::make_unique<Lattice>();
    *effective = std::numeric_limits<double>::infinity();
    if (!mimic::determinize(lattice, beam, max_elements, out.get(), effective)) return 0;
    if (width > 0) {
      lattice = std::move(*out);
      // Costs are rounded as where the acoustic one is stored between the passes.
      const auto store = [acwt](mimic::Weight* one) {
        one->total = one->graph + (one->total - one->graph) / acwt * acwt;
      };
      for (int64_t& label : lattice.word) label /= width;
      for (mimic::Weight& one : lattice.weight) store(&one);
      for (auto& end : lattice.final) store(&end.second);
      out = std::make_unique<Lattice>();
      if (!mimic::determinize(lattice, beam, max_elements, out.get(), effective)) return 0;
    }
    sizes[0] = static_cast<int64_t>(out->source.size());
    sizes[1] = static_cast<int64_t>(out->final.size());
    sizes[2] = 0;
    for (const mimic::Weight& one : out->weight) sizes[2] += one.ids.size;
    for (const auto& end : out->final) sizes[2] += end.second.ids.size;
    *result = out.release();
    return 1;
  });
}

void lattice_delete(Lattice* lattice) { delete lattice; }

// Columns of the arcs, and after them of the final states, of which source is the state.
void lattice_columns(const Lattice* lattice, double acwt, int32_t* source, int32_t* target, int64_t* word,
                     double* graph, double* acoustic, int64_t* ids_end, int32_t* ids) {
  int64_t end = 0;
  const auto write = [&](const mimic::Weight& one) {
    *graph++ = one.graph;
    *acoustic++ = (one.total - one.graph) / acwt;
    ids = std::copy_n(one.ids.begin, one.ids.size, ids);
    *ids_end++ = end += one.ids.size;
  };
  std::copy(lattice->word.begin(), lattice->word.end(), word);
  std::copy(lattice->target.begin(), lattice->target.end(), target);
  source = std::copy(lattice->source.begin(), lattice->source.end(), source);
  for (const mimic::Weight& one : lattice->weight) write(one);
  for (const auto& [state, weight] : lattice->final) {
    *source++ = state;
    write(weight);
  }
}

}  // extern "C"
