// Determinisation of lattices, compiled: the same as determinize.py, digit by digit.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lattice.h"
#include "subsets.h"

namespace mimic {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Arc {
  int32_t target;
  int64_t word;
  Weight weight;
};

class Determinizer {
 public:
  Determinizer(const Lattice& lattice, const std::vector<int32_t>& order, double beam) : beam_(beam) {
    std::vector<int32_t> rank(order.size());
    for (size_t i = 0; i < order.size(); ++i) rank[order[i]] = static_cast<int32_t>(i);
    const size_t states = order.size() + lattice.final.size();
    epsilon_.resize(states);
    labelled_.resize(states);
    ends_.resize(states);
    is_end_.resize(states, false);
    best_.resize(states);
    known_.resize(states, 0);
    auto end = static_cast<int32_t>(order.size());
    for (const auto& [state, weight] : lattice.final) {
      if (weight.ids.size > 0) {  // which an arc can share with others, a final state cannot
        epsilon_[rank[state]].push_back({end, 0, weight});
        is_end_[end] = true;
      } else {
        ends_[rank[state]] = weight;
        is_end_[rank[state]] = true;
      }
      ++end;
    }
    for (size_t arc = 0; arc < lattice.source.size(); ++arc) {
      auto& arcs = lattice.word[arc] != 0 ? labelled_ : epsilon_;
      arcs[rank[lattice.source[arc]]].push_back({rank[lattice.target[arc]], lattice.word[arc], lattice.weight[arc]});
    }
    to_end_.resize(states, kInfinity);
    for (size_t state = states; state-- > 0;) {
      if (is_end_[state]) to_end_[state] = ends_[state].total;
      for (const auto* arcs : {&epsilon_[state], &labelled_[state]}) {
        for (const Arc& arc : *arcs) {
          to_end_[state] = std::min(to_end_[state], arc.weight.total + to_end_[arc.target]);
        }
      }
    }
    cutoff_ = to_end_[0] + beam;
  }

  // Follow transitions while they are within the beam; gives the beam that was reached.
  double run(int64_t max_elements, Lattice* out) {
    out_ = out;
    if (!std::isfinite(to_end_[0])) return beam_;
    new_state(kept(closure({{0, {}}})), 0.0);
    while (!queue_.empty()) {
      if (elements_ > max_elements && !out->final.empty()) return queue_.top().cost - to_end_[0];
      const Transition next = queue_.top();
      queue_.pop();
      Subset subset = std::move(waiting_[next.serial]);
      const Weight common = normalise(&subset);
      const Reached* known = initial_.find(subset);
      Reached found;
      if (known != nullptr) {
        found = *known;
      } else {
        Subset minimal = closure(subset);
        found.more = normalise(&minimal);
        found.more.ids = out->pool.copied(found.more.ids);
        minimal = kept(std::move(minimal));
        const double cost = forward_[next.source] + common.total + found.more.total;
        const int32_t* state = minimal_.find(minimal);
        found.state = state != nullptr ? *state : new_state(std::move(minimal), cost);
        initial_.add(std::move(subset), found);
      }
      out->source.push_back(next.source);
      out->target.push_back(found.state);
      out->word.push_back(next.word);
      Weight weight = after(common, found.more, &out->pool);
      if (found.more.ids.size == 0) weight.ids = out->pool.copied(weight.ids);
      out->weight.push_back(weight);
    }
    return beam_;
  }

 private:
  struct Transition {
    double cost;
    int64_t serial;  // its elements are waiting_[serial]
    int64_t word;
    int32_t source;
    bool operator<(const Transition& other) const {  // the best one is on top
      return cost != other.cost ? cost > other.cost : serial > other.serial;
    }
  };

  struct Reached {  // the state that a subset leads to, and what its best element costs
    int32_t state = 0;
    Weight more;
  };

  // With ids that stay.
  Subset kept(Subset subset) {
    for (Element& element : subset) element.weight.ids = pool_.copied(element.weight.ids);
    return subset;
  }

  // What arcs without a word lead to, the best way to each; only states that words leave, or final ones. Ids lie in
  // scratch_, which the next closure or state uses again.
  Subset closure(const Subset& subset) {
    scratch_.clear();
    ++stamp_;
    std::vector<int32_t> waiting;  // states are in topological order, so each is taken once
    for (const Element& element : subset) {
      best_[element.state] = element.weight;
      known_[element.state] = stamp_;
      waiting.push_back(element.state);
    }
    Subset reached;
    const auto later = [](int32_t a, int32_t b) { return a > b; };
    std::make_heap(waiting.begin(), waiting.end(), later);
    while (!waiting.empty()) {
      std::pop_heap(waiting.begin(), waiting.end(), later);
      const int32_t state = waiting.back();
      waiting.pop_back();
      ++elements_;
      const Weight weight = best_[state];
      if (!labelled_[state].empty() || is_end_[state]) reached.push_back({state, weight});
      for (const Arc& arc : epsilon_[state]) {
        const bool known = known_[arc.target] == stamp_;
        if (known && weight.total + arc.weight.total > best_[arc.target].total) continue;
        const Weight found = after(weight, arc.weight, &scratch_);
        if (!known) {
          known_[arc.target] = stamp_;
          waiting.push_back(arc.target);
          std::push_heap(waiting.begin(), waiting.end(), later);
        }
        if (!known || found < best_[arc.target]) best_[arc.target] = found;
      }
    }
    return reached;
  }

  // A state for a subset, with what ends in it and, in the queue, what leaves it.
  int32_t new_state(Subset subset, double forward) {
    const auto number = static_cast<int32_t>(forward_.size());
    forward_.push_back(forward);
    const Weight* least = nullptr;
    std::vector<Weight> ends;
    ends.reserve(subset.size());
    for (const Element& element : subset) {
      if (!is_end_[element.state]) continue;
      ends.push_back(after(element.weight, ends_[element.state], &pool_));
      if (least == nullptr || ends.back() < *least) least = &ends.back();
    }
    if (least != nullptr && forward + least->total <= cutoff_) {
      out_->final.push_back({number, {least->total, least->graph, out_->pool.copied(least->ids)}});
    }
    transitions(subset, number, forward);
    minimal_.add(std::move(subset), number);
    return number;
  }

  // Of each word the states that it leads to, with the best way to each: to the queue, in the order of the words.
  void transitions(const Subset& subset, int32_t number, double forward) {
    scratch_.clear();
    words_.clear();
    std::vector<std::pair<int64_t, Subset>> by_word;
    for (const Element& element : subset) {
      for (const Arc& arc : labelled_[element.state]) {
        const auto place = words_.try_emplace(arc.word, by_word.size());
        if (place.second) by_word.push_back({arc.word, {}});
        by_word[place.first->second].second.push_back({arc.target, after(element.weight, arc.weight, &scratch_)});
      }
    }
    for (auto& [word, elements] : by_word) {
      std::sort(elements.begin(), elements.end(), [](const Element& a, const Element& b) {
        return a.state != b.state ? a.state < b.state : a.weight < b.weight;
      });
      const auto end = std::unique(elements.begin(), elements.end(),
                                   [](const Element& a, const Element& b) { return a.state == b.state; });
      elements.erase(end, elements.end());
      double cost = kInfinity;
      for (const Element& element : elements) cost = std::min(cost, element.weight.total + to_end_[element.state]);
      cost += forward;
      if (!(cost <= cutoff_)) continue;
      queue_.push({cost, static_cast<int64_t>(waiting_.size()), word, number});
      waiting_.push_back(kept(std::move(elements)));
    }
  }

  // Take the costs of the best element from all, and the transition ids that all begin with; gives them.
  static Weight normalise(Subset* subset) {
    Weight common = subset->front().weight;
    for (const Element& element : *subset) {
      const Weight& one = element.weight;
      if (one.total < common.total || (one.total == common.total && one.graph < common.graph)) {
        common.total = one.total;
        common.graph = one.graph;
      }
      int32_t size = 0;
      while (size < std::min(common.ids.size, one.ids.size) && common.ids.begin[size] == one.ids.begin[size]) ++size;
      common.ids.size = size;
    }
    for (Element& element : *subset) {
      Weight& one = element.weight;
      one = {one.total - common.total,
             one.graph - common.graph,
             {one.ids.begin + common.ids.size, one.ids.size - common.ids.size}};
    }
    return common;
  }

  const double beam_;
  double cutoff_ = 0;
  // Of each state of the lattice, in topological order: arcs, whether something ends there, cost of the best way to the
  // end.
  std::vector<std::vector<Arc>> epsilon_, labelled_;
  std::vector<Weight> ends_;
  std::vector<bool> is_end_;
  std::vector<double> to_end_;
  // Of a closure: the best way to each state, and in which closure that was.
  std::vector<Weight> best_;
  std::vector<int64_t> known_;
  int64_t stamp_ = 0;
  Pool scratch_, pool_;
  std::vector<double> forward_;  // of each new state, the cost of the best way to it
  std::priority_queue<Transition> queue_;
  std::vector<Subset> waiting_;
  std::unordered_map<int64_t, size_t> words_;
  int64_t elements_ = 0;
  Subsets<int32_t> minimal_;
  Subsets<Reached> initial_;
  Lattice* out_ = nullptr;
};

}  // namespace

bool determinize(const Lattice& lattice, double beam, int64_t max_elements, Lattice* out, double* effective) {
  const std::vector<int32_t> order = lattice.topological();
  if (static_cast<int32_t>(order.size()) < lattice.states()) return false;
  Determinizer work(lattice, order, beam);
  *effective = std::min(*effective, work.run(max_elements, out));
  out->connect();
  return true;
}

}  // namespace mimic
