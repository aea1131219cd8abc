export {
  createHealth,
  type Health,
  type HealthOptions,
  type Readiness,
  type Reason,
  type Warning,
} from './health.ts';
export { createMetrics, type Metrics } from './metrics.ts';
export { startHttp, type HttpOptions, type HttpServer } from './server.ts';
