import { get, request } from '../parity/case.ts'
import type { Fault } from './fault.ts'

/** Clients that go, queues that are full, and hosts that are ejected and come back. */
export const limitFaults: readonly Fault[] = [
  {
    name: 'client-leaves-while-waiting',
    origin: { answers: [{ after: 'silence' }] },
    turns: [{ send: [get('PATH')], leaveAfterMs: 200 }],
    client: ['-'],
    log: ['0 DC downstream_remote_disconnect'],
  },
  {
    name: 'client-resets-while-waiting',
    origin: { answers: [{ after: 'silence' }] },
    turns: [{ send: [get('PATH')], leaveAfterMs: 200, reset: true }],
    client: ['-'],
    log: ['0 DC downstream_remote_disconnect'],
  },
  {
    name: 'client-leaves-in-its-body',
    origin: { answers: [{ after: 'silence' }] },
    turns: [{ send: ['POST PATH HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc'], leaveAfterMs: 200 }],
    client: ['-'],
    log: ['0 DC downstream_remote_disconnect'],
  },
  {
    name: 'client-leaves-in-the-answer',
    origin: { answers: [{ chunks: Array.from({ length: 10 }, () => 'z'), chunkDelayMs: 100 }] },
    turns: [{ send: [get('PATH')], leaveAfterMs: 300, untilClosed: true }],
    client: ['200 cut'],
    log: ['200 DC downstream_remote_disconnect'],
  },
  {
    name: 'pending-queue-full',
    origin: { answers: [{ delayMs: 500 }] },
    cluster: { circuit_breakers: { thresholds: [{ max_connections: 1, max_pending_requests: 1 }] } },
    turns: [{ send: [get('PATH')] }, { send: [120, get('PATH')], together: true }, { send: [240, get('PATH')], together: true }],
    client: ['200', '200', '503'],
    log: ['200 - via_upstream', '200 - via_upstream', '503 UO upstream_reset_before_response_started{overflow}'],
  },
  {
    name: 'requests-full',
    origin: { answers: [{ delayMs: 400 }] },
    cluster: { circuit_breakers: { thresholds: [{ max_requests: 1 }] } },
    turns: [{ send: [get('PATH')] }, { send: [150, get('PATH')], together: true }],
    client: ['200', '503'],
    log: ['200 - via_upstream', '503 UO upstream_reset_before_response_started{overflow}'],
  },
  {
    name: 'retries-full',
    origin: { answers: [{ status: 503 }] },
    route: { retry_policy: { retry_on: '5xx', num_retries: 3 } },
    cluster: { circuit_breakers: { thresholds: [{ max_retries: 0 }] } },
    client: ['503'],
    log: ['503 UO via_upstream'],
  },
  {
    name: 'ejected-and-back',
    origin: { answers: [{ status: 500 }, { status: 500 }, { body: 'well again' }] },
    cluster: {
      outlier_detection: {
        ...{ consecutive_5xx: 2, interval: '0.1s', base_ejection_time: '0.5s', max_ejection_time_jitter: '0s' },
        ...{ max_ejection_percent: 100, enforcing_consecutive_5xx: 100 },
      },
      common_lb_config: { healthy_panic_threshold: {} },
    },
    turns: [get('PATH'), get('PATH'), { send: [150, get('PATH')] }, { send: [1500, get('PATH')] }],
    client: ['500', '500', '503', '200'],
    log: ['500 - via_upstream', '500 - via_upstream', '503 UH no_healthy_upstream', '200 - via_upstream'],
  },
  {
    name: 'ejected-in-panic',
    origin: { answers: [{ status: 500 }, { status: 500 }, { body: 'in panic' }] },
    cluster: {
      outlier_detection: {
        ...{ consecutive_5xx: 2, interval: '0.1s', base_ejection_time: '30s' },
        ...{ max_ejection_percent: 100, enforcing_consecutive_5xx: 100 },
      },
    },
    turns: [get('PATH'), get('PATH'), { send: [150, get('PATH')] }],
    client: ['500', '500', '200'],
    log: ['500 - via_upstream', '500 - via_upstream', '200 - via_upstream'],
  },
  {
    name: 'ejected-for-resets',
    origin: { answers: [{ raw: '', after: 'reset' }] },
    cluster: {
      outlier_detection: {
        ...{ consecutive_gateway_failure: 2, enforcing_consecutive_gateway_failure: 100, enforcing_consecutive_5xx: 0 },
        ...{ interval: '0.1s', base_ejection_time: '30s', max_ejection_percent: 100 },
      },
      common_lb_config: { healthy_panic_threshold: {} },
    },
    turns: [get('PATH'), get('PATH'), { send: [150, get('PATH')] }],
    client: ['503', '503', '503'],
    log: [
      '503 UC upstream_reset_before_response_started{connection_termination}',
      '503 UC upstream_reset_before_response_started{connection_termination}',
      '503 UH no_healthy_upstream',
    ],
  },
  {
    name: 'no-endpoints',
    origin: {},
    cluster: { load_assignment: { cluster_name: 'no-endpoints', endpoints: [] } },
    client: ['503'],
    log: ['503 UH no_healthy_upstream'],
  },
  {
    name: 'request-too-large-to-buffer-for-a-retry',
    origin: { answers: [{ status: 503 }, {}] },
    route: { retry_policy: { retry_on: '5xx', num_retries: 1 } },
    onRoute: { per_request_buffer_limit_bytes: 10 },
    turns: [request('POST', 'PATH', [], 'b'.repeat(100))],
    client: ['503'],
    log: ['503 - via_upstream'],
  },
]
