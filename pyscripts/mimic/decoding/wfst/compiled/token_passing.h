// Token passing over one utterance, see token_passing.py.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "frames.h"

namespace mimic {

struct SearchOptions {
  double beam, beam_delta, lattice_beam;
  int64_t max_active, min_active;
};

struct Paths {  // columns of a lattice's arcs, and its final states
  int32_t *source, *target, *tid, *word;
  float *graph, *acoustic;
  int32_t* final_state;
  double* final_cost;
};

class TokenPassing {
 public:
  // final: cost of ending in each state of the graph, which has to outlive this.
  TokenPassing(int64_t states, int64_t start, const float* final, const Arcs& emitting, const Arcs& epsilon,
               const SearchOptions& options);

  // Scaled log-likelihoods (frames, pdfs), and the column of each transition id. False where no token survives.
  bool pass(const float* scores, int64_t frames, int64_t pdfs, const int32_t* column);

  bool reached_final() const;

  // Prune all; gives the numbers of arcs and final states that are left, for `paths`. The lattice's start is state 0.
  void finish(int64_t* arcs, int64_t* finals);
  void paths(Paths out) const;

 private:
  struct Candidate {  // the target of the link is a state
    double cost;
    Link link;
  };

  bool advance(const float* row, const int32_t* column);
  double expand_best(const float* row, const int32_t* column) const;
  double find_cutoff(double* beam);
  double nth_cost(int64_t n);
  void close(double limit);
  void add_tokens(const std::vector<Candidate>& reached, std::vector<double>* cost);
  template <typename Visit>
  void every_link(Visit visit) const;

  const float* final_;
  const Arcs emitting_, epsilon_;
  const SearchOptions options_;
  std::vector<int32_t> place_;   // of each state's token among those of the frame
  std::vector<int32_t> states_;  // of the last frame's tokens
  std::vector<Frame> frames_;
  // The last tokens' costs of ending, those of them that are final, and the first token of each frame, after `finish`.
  std::vector<double> ends_;
  std::vector<int32_t> last_;
  std::vector<int64_t> offsets_;
  // Used again in each frame.
  std::vector<Candidate> candidates_;
  std::vector<int32_t> front_;
  std::vector<double> sorted_;
};

}  // namespace mimic
