// Token passing, compiled: the same as token_passing.py, digit by digit.
//
// Tokens are numbered, costs added and rounded as in the numpy code, so that lattices have the same bytes
// (tests/unit/test_compiled_search.py). Nothing depends on addresses or hashes.

#include "token_passing.h"

#include <algorithm>
#include <cmath>

namespace mimic {
namespace {

constexpr int64_t kPruneEvery = 25;  // frames, PRUNE_EVERY of token_passing.py
constexpr int32_t kNone = -1;
constexpr int32_t kNew = -2;  // a state whose token has no number yet

}  // namespace

TokenPassing::TokenPassing(int64_t states, int64_t start, const float* final, const Arcs& emitting, const Arcs& epsilon,
                           const SearchOptions& options)
    : final_(final), emitting_(emitting), epsilon_(epsilon), options_(options), place_(states, kNone) {
  frames_.emplace_back();
  states_.push_back(static_cast<int32_t>(start));
  frames_.back().cost.push_back(0.0);
  place_[start] = 0;
  close(options.beam);
}

bool TokenPassing::pass(const float* scores, int64_t frames, int64_t pdfs, const int32_t* column) {
  for (int64_t number = 1; number <= frames; ++number, scores += pdfs) {
    if (!advance(scores, column)) return false;
    if (number % kPruneEvery == 0) {
      std::vector<double> extra(states_.size(), 0.0);
      prune(&frames_, emitting_, epsilon_, number - kPruneEvery, std::move(extra), options_.lattice_beam);
    }
  }
  return true;
}

bool TokenPassing::reached_final() const {
  return std::any_of(states_.begin(), states_.end(), [this](int32_t state) { return std::isfinite(final_[state]); });
}

// The least cost to which the best token leads: what the others' arcs are worth is bounded before they are followed.
double TokenPassing::expand_best(const float* row, const int32_t* column) const {
  const std::vector<double>& cost = frames_.back().cost;
  const auto first = std::min_element(cost.begin(), cost.end());
  const int32_t state = states_[first - cost.begin()];
  double best = kInfinity;
  for (int64_t i = emitting_.first[state]; i < emitting_.first[state + 1]; ++i) {
    const Arc& arc = emitting_.table[i];
    best = std::min(best, *first + arc.cost + -row[column[arc.tid - 1]]);
  }
  return best;
}

// One frame: follow the emitting arcs. A state that several paths reach has the cost of the best one.
bool TokenPassing::advance(const float* row, const int32_t* column) {
  double beam = options_.beam;
  const double cutoff = find_cutoff(&beam);
  const std::vector<double>& before = frames_.back().cost;
  double best = expand_best(row, column);
  double bound = best + beam;
  bool valid = true;
  candidates_.clear();
  for (size_t token = 0; token < before.size(); ++token) {
    if (before[token] > cutoff) continue;
    const int64_t begin = emitting_.first[states_[token]], end = emitting_.first[states_[token] + 1];
    for (int64_t arc = begin; arc < end; ++arc) {
      const Arc& one = emitting_.table[arc];
      const float acoustic = -row[column[one.tid - 1]];
      const double cost = before[token] + one.cost + acoustic;
      if (cost < bound) {
        candidates_.push_back({cost, {static_cast<int32_t>(token), one.target, static_cast<int32_t>(arc), acoustic}});
        if (cost < best) {
          best = cost;
          bound = best + beam;
        }
      } else {
        valid &= cost == cost;  // not NaN
      }
    }
  }
  if (!valid || !std::isfinite(best)) return false;
  const double limit = best + beam;
  const auto outside = [limit](const Candidate& one) { return !(one.cost < limit); };
  candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(), outside), candidates_.end());
  if (candidates_.empty()) return false;

  for (int32_t state : states_) place_[state] = kNone;
  states_.clear();
  frames_.emplace_back();
  Frame& frame = frames_.back();
  add_tokens(candidates_, &frame.cost);
  frame.emitting.reserve(candidates_.size());
  for (const Candidate& one : candidates_) {
    Link link = one.link;
    link.target = place_[link.target];
    frame.cost[link.target] = std::min(frame.cost[link.target], one.cost);
    frame.emitting.push_back(link);
  }
  close(limit);
  return true;
}

// Cost up to which tokens are expanded, and the next frame's beam, as GetCutoff of LatticeFasterDecoder.
double TokenPassing::find_cutoff(double* beam) {
  const std::vector<double>& cost = frames_.back().cost;
  const auto tokens = static_cast<int64_t>(cost.size());
  const double best = *std::min_element(cost.begin(), cost.end());
  const double within = best + options_.beam;
  double cutoff = within;
  if (tokens > options_.max_active && (cutoff = nth_cost(options_.max_active)) < within) {
    *beam = cutoff - best + options_.beam_delta;
    return cutoff;
  }
  const auto inside = std::count_if(cost.begin(), cost.end(), [within](double value) { return value <= within; });
  if (inside > options_.min_active) return within;  // the least number is reached without sorting
  cutoff = tokens > options_.min_active ? nth_cost(options_.min_active) : kInfinity;
  if (!(cutoff > within)) return within;
  *beam = cutoff - best + options_.beam_delta;
  return cutoff;
}

double TokenPassing::nth_cost(int64_t n) {
  sorted_ = frames_.back().cost;
  std::nth_element(sorted_.begin(), sorted_.begin() + n, sorted_.end());
  return sorted_[n];
}

// End a frame: follow the epsilon arcs up to this cost, as long as a token gets better.
void TokenPassing::close(double limit) {
  Frame& frame = frames_.back();
  const auto follow = [&](int32_t token, auto&& keep) {
    const int64_t begin = epsilon_.first[states_[token]], end = epsilon_.first[states_[token] + 1];
    for (int64_t arc = begin; arc < end; ++arc) {
      const Arc& one = epsilon_.table[arc];
      const double cost = frame.cost[token] + one.cost;
      if (cost < limit) keep(cost, Link{token, one.target, static_cast<int32_t>(arc), 0.0F});
    }
  };
  front_.resize(states_.size());
  for (size_t i = 0; i < front_.size(); ++i) front_[i] = static_cast<int32_t>(i);
  while (!front_.empty()) {
    candidates_.clear();
    for (int32_t token : front_) {
      follow(token, [this](double cost, const Link& link) { candidates_.push_back({cost, link}); });
    }
    add_tokens(candidates_, &frame.cost);
    front_.clear();
    for (const Candidate& one : candidates_) {
      const int32_t token = place_[one.link.target];
      if (!(one.cost < frame.cost[token])) continue;
      frame.cost[token] = one.cost;
      front_.push_back(token);
    }
    std::sort(front_.begin(), front_.end());
    front_.erase(std::unique(front_.begin(), front_.end()), front_.end());
  }
  const auto tokens = static_cast<int32_t>(states_.size());
  for (int32_t token = 0; token < tokens; ++token) {
    follow(token, [&](double, Link link) {
      link.target = place_[link.target];
      frame.epsilon.push_back(link);
    });
  }
  frame.epsilon.shrink_to_fit();
  frame.cost.shrink_to_fit();
}

// Number the tokens of states that have none, in the order in which they are reached for the last time.
void TokenPassing::add_tokens(const std::vector<Candidate>& reached, std::vector<double>* cost) {
  const size_t known = states_.size();
  for (size_t i = reached.size(); i-- > 0;) {
    const int32_t state = reached[i].link.target;
    if (place_[state] != kNone) continue;
    place_[state] = kNew;
    states_.push_back(state);
  }
  std::reverse(states_.begin() + static_cast<int64_t>(known), states_.end());
  for (size_t i = known; i < states_.size(); ++i) place_[states_[i]] = static_cast<int32_t>(i);
  cost->resize(states_.size(), kInfinity);
}

void TokenPassing::finish(int64_t* arcs, int64_t* finals) {
  const bool ended = reached_final();
  std::vector<double> extra = frames_.back().cost;
  ends_.assign(extra.size(), 0.0);
  for (size_t i = 0; i < extra.size(); ++i) {
    if (ended) ends_[i] = final_[states_[i]];
    extra[i] += ends_[i];
  }
  const double best = *std::min_element(extra.begin(), extra.end());
  last_.clear();
  for (size_t i = 0; i < extra.size(); ++i) {
    extra[i] -= best;
    if (extra[i] <= options_.lattice_beam) last_.push_back(static_cast<int32_t>(i));
  }
  prune(&frames_, emitting_, epsilon_, 0, std::move(extra), options_.lattice_beam);
  offsets_.assign(1, 0);
  *arcs = 0;
  for (const Frame& frame : frames_) {
    offsets_.push_back(offsets_.back() + static_cast<int64_t>(frame.cost.size()));
    *arcs += static_cast<int64_t>(frame.emitting.size() + frame.epsilon.size());
  }
  *finals = static_cast<int64_t>(last_.size());
}

template <typename Visit>
void TokenPassing::every_link(Visit visit) const {
  for (size_t i = 0; i < frames_.size(); ++i) {
    for (const Link& link : frames_[i].emitting) {
      visit(offsets_[i - 1] + link.source, offsets_[i] + link.target, emitting_.table[link.arc], link.acoustic);
    }
    for (const Link& link : frames_[i].epsilon) {
      visit(offsets_[i] + link.source, offsets_[i] + link.target, epsilon_.table[link.arc], link.acoustic);
    }
  }
}

void TokenPassing::paths(Paths out) const {
  std::vector<int32_t> number(offsets_.back(), 0);  // 1 where a token is used, then numbers
  const int64_t last = offsets_[frames_.size() - 1];
  number[0] = 1;
  for (int32_t token : last_) number[last + token] = 1;
  every_link([&](int64_t from, int64_t to, const Arc&, float) { number[from] = number[to] = 1; });
  int32_t states = 0;
  for (int32_t& value : number) {
    const int32_t used = value;
    value = states;
    states += used;
  }
  every_link([&](int64_t from, int64_t to, const Arc& arc, float acoustic) {
    *out.source++ = number[from];
    *out.target++ = number[to];
    *out.tid++ = arc.tid;
    *out.word++ = arc.word;
    *out.graph++ = arc.cost;
    *out.acoustic++ = acoustic;
  });
  for (int32_t token : last_) {
    *out.final_state++ = number[last + token];
    *out.final_cost++ = ends_[token];
  }
}

}  // namespace mimic
