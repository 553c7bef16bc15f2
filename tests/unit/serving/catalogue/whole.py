"""A small catalogue that says everything a catalogue can say."""

from __future__ import annotations

WHOLE = """\
catalogue: bank
currency: EUR
timezone: Europe/Berlin
language: de
channels:
  email: {outbound: true}
customer:
  age: {type: int64, meaning: Years of age}
  credit_ok: {type: bool, meaning: The credit check passed}
context:
  hour: {type: int64, set_by: moment, meaning: Hour of the day}
  branch_km: {type: float64, set_by: channel, meaning: Kilometres to the nearest branch}
  approved: {type: bool, set_by: system, meaning: The credit check of this visit passed}
arbitration:
  propensity_floor: 0.01
  formula: propensity * value
    * lever
exploration: {policy: epsilon_uniform, share: 0.1, base: {policy: softmax, temperature: 0.5}}
placements:
  web:
    home: {slots: 3, distinct: group, fallback: flyer, lifetime: 45m, report_within: 90s}
  email:
    weekly: {slots: 1}
exclusions:
  credit: {rests: 1w}
  letters: {}
contact_policies:
  three-a-week: {limit: 3, window: 7d}
  five-a-day: {limit: 5, window: day, counts: decisions, per: all, per_channel: true, channels: [web]}
  after-noes: {suppress: 30d, after: {outcome: rejected, times: 2, within: 90d}, per: group, groups: [loans]}
  after-signing: {suppress: 52w, after: {outcome: signed}}
  breathing-space: {cool_off: 24h, per: issue, issues: [growth]}
  night: {quiet_hours: {from: "21:00", to: "08:30"}, actions: [rates]}
control: {share: 0.05, salt: ctrl-2026}
holdout: {share: 0.02}
experiments:
  ranking:
    salt: r1
    push-loans:
      arms:
        pushed: {share: 0.25, levers: {issues: {growth: 1.5}, groups: {loans: 2}, actions: {car-loan: 4}}}
        as-is: {share: 0.25}
  ways:
    explore-more:
      arms:
        warm: {share: 0.1, exploration: {policy: thompson, evidence: 200}, propensity_floor: 0,
               formula: value}
fallbacks:
  flyer:
    label: Flyer
    treatments:
      web: {channel: web, placements: [home], content: {title: Flyer}}
defaults:
  window_days: 30
  treatments:
    web: {channel: web, placements: [home], content: {title: "{{ action.label }}, {{ customer.age }}"}}
    mail: {channel: email, placements: [weekly], language: en, content: {title: "{{ action.label }}"}}
issues:
  growth:
    lever: 1.5
    outcome: signed
    cost: 2
    context_weights: {when: context.branch_km < 2, weight: 1.5}
    groups:
      loans:
        lever: 2
        eligible: credit_ok AND age >= 18
        exclusions: [credit]
        context_weights:
          - {when: context.approved, weight: 3}
          - {when: credit_ok AND age >= 18, weight: 0.5}
        actions:
          personal-loan:
            label: Personal loan
            value: 120
            lever: 0.5
            budget: {total: 10000, per_day: 500}
            volume: {per_day: 50}
            attributes: {term: 60}
          car-loan: {label: Car loan, value: 90, outcome: accepted, cost: 0, purposes: [marketing, profiling]}
  service:
    purposes: [service]
    groups:
      letters:
        actions:
          terms:
            label: New terms
            value: 0
            mandatory: legal_obligation
            volume: {per_day: 1000}
            exclusions: [letters]
          rates: {label: New rates, value: 1, purposes: [], exclusions: [letters, credit]}
"""
