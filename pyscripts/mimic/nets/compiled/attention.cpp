// Self-attention with dropout, and its gradient: the scores of a few queries at a time, which stay in the cache.
//
//   S = Q K^T + bias;  P = softmax(S);  A = F V,  F = keep * P / (1 - p)
//   to F = dA V^T;  dS = P (keep / (1 - p) to F - dA A);  dQ = dS K;  dK = dS^T Q;  dV = F^T dA
//
// Scores lie as (keys, queries): sums over keys are then sums of vectors.

#include <cmath>

#include "vector.h"

namespace {

constexpr int64_t QUERIES = 32;  // at once

struct Shape {
  int64_t batch, frames, heads, size, threshold, threads;  // draws of at least the threshold are kept
};
struct Forward {
  const Shape& shape;
  const float *x, *bias;  // Q, K and V: (batch, frames, 3, heads, size); (batch, frames) of keys
  const int16_t* draws;   // (batch, heads, frames, frames of keys)
  const float* factors;   // of Q, and 1 / (1 - p)
  float *output, *level;  // (batch, frames, heads, size); log of the sum of e^S, (batch, heads, frames)
};
struct Backward {
  const Shape& shape;
  const float *x, *bias;
  const int16_t* draws;
  const float *factors, *output, *level, *grad;
  float* to_x;
};

template <int ROWS, int PARTS>
void columns(const float* a, int64_t row, int64_t step, const float* b, int64_t wide, int64_t rows, int64_t terms,
             float* out, bool more) {
  int64_t i = 0;
  for (; i + ROWS <= rows; i += ROWS)
    tile<ROWS, PARTS>(a + i * row, row, step, b, wide, terms, more ? out + i * wide : nullptr, wide, out + i * wide);
  for (; i < rows; i++)
    tile<1, PARTS>(a + i * row, row, step, b, wide, terms, more ? out + i * wide : nullptr, wide, out + i * wide);
}

// out = a b, or with `more` out + a b: a (rows, terms) with any steps, b (terms, wide), out (rows, wide); wide: whole
// vectors.
void product(const float* a, int64_t row, int64_t step, const float* b, int64_t wide, int64_t rows, int64_t terms,
             float* out, bool more = false) {
  for (int64_t j = 0; j < wide;) {
    const int64_t parts = std::min<int64_t>((wide - j) / LANES, 4);
    if (parts == 4)
      columns<3, 4>(a, row, step, b + j, wide, rows, terms, out + j, more);
    else if (parts == 3)
      columns<3, 3>(a, row, step, b + j, wide, rows, terms, out + j, more);
    else if (parts == 2)
      columns<4, 2>(a, row, step, b + j, wide, rows, terms, out + j, more);
    else
      columns<8, 1>(a, row, step, b + j, wide, rows, terms, out + j, more);
    j += parts * LANES;
  }
}

// One head of one utterance: its keys and values with zeros to whole vectors, and memory for a block of queries.
class Head {
 public:
  Head(const Shape& shape, const float* x, const float* bias, const int16_t* draws, const float* factors,
       int64_t number)
      : shape_(shape),
        number_(number),
        row_(3 * shape.heads * shape.size),
        bias_(bias + number / shape.heads * shape.frames),
        x_(x + number / shape.heads * shape.frames * row_ + number % shape.heads * shape.size),
        draws_(draws + number * shape.frames * shape.frames),
        factors_(factors) {
    while (keys > 0 && bias_[keys - 1] == -INFINITY) keys--;  // of padding
    if (keys == 0) keys = shape.frames;                       // nothing to see: not a number, as by torch
    pack(k, x_ + shape.heads * shape.size, row_, keys, 1.0f);
    pack(v, x_ + 2 * shape.heads * shape.size, row_, keys, 1.0f);
  }

  // Where a frame of an array (batch, frames, heads, size) begins.
  int64_t place(int64_t frame) const {
    return ((number_ / shape_.heads * shape_.frames + frame) * shape_.heads + number_ % shape_.heads) * shape_.size;
  }
  int64_t wide() const { return padded(shape_.size); }
  int64_t row() const { return shape_.heads * shape_.size; }

  // rows of `from`, times a factor, with zeros to whole vectors.
  void pack(std::vector<float>& to, const float* from, int64_t step, int64_t rows, float factor) const {
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < shape_.size; j++) to[i * wide() + j] = from[i * step + j] * factor;
    std::fill(to.begin() + rows * wide(), to.end(), 0.0f);
  }
  void transpose(std::vector<float>& to, const std::vector<float>& from) const {
    for (int64_t i = 0; i < QUERIES; i++)
      for (int64_t j = 0; j < shape_.size; j++) to[j * QUERIES + i] = from[i * wide() + j];
  }

  // Queries, scores and draws of a block.
  void begin(int64_t first, int64_t count) {
    pack(q, x_ + first * row_, row_, count, factors_[0]);
    transpose(q_across, q);
    product(k.data(), wide(), 1, q_across.data(), QUERIES, keys, shape_.size, s.data());
    for (int64_t i = 0; i < count; i++)
      for (int64_t j = 0; j < keys; j++) kept[j * QUERIES + i] = draws_[(first + i) * shape_.frames + j];
  }
  // x, but zero where it is dropped.
  INLINE void drop(Vector& x, int64_t place) const {
    Shorts few;
    std::memcpy(&few, kept.data() + place, sizeof few);
    const Vector zero{};
    x = __builtin_convertvector(few, Integers) >= int32_t(shape_.threshold) ? x : zero;
  }
  float bias(int64_t key) const { return bias_[key]; }

 private:
  const Shape& shape_;
  const int64_t number_, row_;
  const float *bias_, *x_;
  const int16_t* draws_;
  const float* factors_;

 public:
  int64_t keys = shape_.frames;
  std::vector<float> k = std::vector<float>(keys * wide()), v = k;  // (keys, wide)
  std::vector<float> q = std::vector<float>(QUERIES * wide());      // (queries, wide)
  std::vector<float> q_across = q;                                  // (wide, queries)
  std::vector<float> s = std::vector<float>(keys * QUERIES);        // (keys, queries)
  std::vector<int16_t> kept = std::vector<int16_t>(keys * QUERIES);
};

void run(const Forward& job, int64_t number) {
  Head head(job.shape, job.x, job.bias, job.draws, job.factors, number);
  std::vector<float> seen(QUERIES * head.wide());
  float total[QUERIES];
  for (int64_t first = 0; first < job.shape.frames; first += QUERIES) {
    const int64_t count = std::min(QUERIES, job.shape.frames - first);
    head.begin(first, count);
    for (int64_t i = 0; i < QUERIES; i += LANES) {
      Vector most = Vector{} - INFINITY, sum{}, x;
      for (int64_t j = 0; j < head.keys; j++) {
        load(x, &head.s[j * QUERIES + i]);
        x += head.bias(j);
        most = x > most ? x : most;
      }
      for (int64_t j = 0; j < head.keys; j++) {
        load(x, &head.s[j * QUERIES + i]);
        x += head.bias(j) - most;
        exponential(x);
        sum += x;
        head.drop(x, j * QUERIES + i);
        store(&head.s[j * QUERIES + i], x);
      }
      store(total + i, sum);
      for (int64_t lane = 0; lane < LANES && i + lane < count; lane++)
        job.level[number * job.shape.frames + first + i + lane] = most[lane] + std::log(sum[lane]);
    }
    product(head.s.data(), 1, QUERIES, head.v.data(), head.wide(), count, head.keys, seen.data());
    for (int64_t i = 0; i < count; i++)
      for (int64_t j = 0; j < job.shape.size; j++)
        job.output[head.place(first + i) + j] = seen[i * head.wide() + j] * (job.factors[1] / total[i]);
  }
}

void run(const Backward& job, int64_t number) {
  const Shape& shape = job.shape;
  Head head(shape, job.x, job.bias, job.draws, job.factors, number);
  const int64_t wide = head.wide(), row = head.row();
  std::vector<float> grad(QUERIES * wide), grad_across(grad), to_q(grad), to_s(head.s);
  std::vector<float> to_k(head.keys * wide, 0.0f), to_v(to_k);
  float* to_x = job.to_x + number / shape.heads * shape.frames * 3 * row + number % shape.heads * shape.size;
  for (int64_t first = 0; first < shape.frames; first += QUERIES) {
    const int64_t count = std::min(QUERIES, shape.frames - first);
    head.begin(first, count);
    head.pack(grad, job.grad + head.place(first), row, count, 1.0f);
    head.transpose(grad_across, grad);
    product(head.v.data(), wide, 1, grad_across.data(), QUERIES, head.keys, shape.size, to_s.data());
    float level[QUERIES] = {}, whole[QUERIES] = {};  // of each query; dA A
    for (int64_t i = 0; i < count; i++) {
      level[i] = job.level[number * shape.frames + first + i];
      for (int64_t j = 0; j < shape.size; j++) whole[i] += grad[i * wide + j] * job.output[head.place(first + i) + j];
    }
    for (int64_t j = 0; j < head.keys; j++)
      for (int64_t i = 0; i < QUERIES; i += LANES) {
        Vector p, used, to, top, part;
        load(p, &head.s[j * QUERIES + i]), load(top, level + i);
        p += head.bias(j) - top;
        exponential(p);
        used = p * job.factors[1];
        head.drop(used, j * QUERIES + i);
        load(to, &to_s[j * QUERIES + i]), load(part, whole + i);
        store(&head.s[j * QUERIES + i], used);
        store(&to_s[j * QUERIES + i], used * to - p * part);
      }
    product(to_s.data(), 1, QUERIES, head.k.data(), wide, count, head.keys, to_q.data());
    product(to_s.data(), QUERIES, 1, head.q.data(), wide, head.keys, QUERIES, to_k.data(), true);
    product(head.s.data(), QUERIES, 1, grad.data(), wide, head.keys, QUERIES, to_v.data(), true);
    for (int64_t i = 0; i < count; i++)
      for (int64_t j = 0; j < shape.size; j++) to_x[(first + i) * 3 * row + j] = to_q[i * wide + j] * job.factors[0];
  }
  for (int64_t i = 0; i < shape.frames; i++)
    for (int64_t j = 0; j < shape.size; j++) {
      to_x[i * 3 * row + row + j] = i < head.keys ? to_k[i * wide + j] : 0.0f;
      to_x[i * 3 * row + 2 * row + j] = i < head.keys ? to_v[i * wide + j] : 0.0f;
    }
}

template <class Job>
void run_all(const Job& job) {
  in_threads(job.shape.batch * job.shape.heads, job.shape.threads, [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; number++) run(job, number);
  });
}

}  // namespace

extern "C" {

void attention_forward(const Shape* shape, const float* x, const float* bias, const int16_t* draws,
                       const float* factors, float* output, float* level) {
  run_all(Forward{*shape, x, bias, draws, factors, output, level});
}

void attention_backward(const Shape* shape, const float* x, const float* bias, const int16_t* draws,
                        const float* factors, const float* output, const float* level, const float* grad, float* to_x) {
  run_all(Backward{*shape, x, bias, draws, factors, output, level, grad, to_x});
}

}  // extern "C"
