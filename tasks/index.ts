import accept_approval from './accept_approval.ts';
import apply_reconciliation from './apply_reconciliation.ts';
import bridge_confirm_vsync from './bridge_confirm_vsync.ts';
import bridge_get_reconciliation_status from './bridge_get_reconciliation_status.ts';
import bridge_request_reconciliation from './bridge_request_reconciliation.ts';
import bridge_verify_vsync from './bridge_verify_vsync.ts';
import compare_cids from './compare_cids.ts';
import download_cid_file from './download_cid_file.ts';
import judge_divergences from './judge_divergences.ts';
import keep_snapshot from './keep_snapshot.ts';
import log_verification from './log_verification.ts';
import look_up_divergences from './look_up_divergences.ts';
import open_reconciliation from './open_reconciliation.ts';
import plan_repair from './plan_repair.ts';
import publish_reconciliation_complete from './publish_reconciliation_complete.ts';
import publish_reconciliation_notification from './publish_reconciliation_notification.ts';
import publish_undo_done from './publish_undo_done.ts';
import publish_verification_summary from './publish_verification_summary.ts';
import read_all_vsyncs from './read_all_vsyncs.ts';
import recalculate_vsync from './recalculate_vsync.ts';
import replay_event_log from './replay_event_log.ts';
import report_late_file from './report_late_file.ts';
import save_reconciliation_log from './save_reconciliation_log.ts';
import skip_key_type from './skip_key_type.ts';
import spawn_reconciliations from './spawn_reconciliations.ts';
import start_verification from './start_verification.ts';
import undo_reconciliation from './undo_reconciliation.ts';

/** Every activity by its name, which is also the name of its Graphile Worker task and of its file. */
export const activities = {
  accept_approval,
  apply_reconciliation,
  bridge_confirm_vsync,
  bridge_get_reconciliation_status,
  bridge_request_reconciliation,
  bridge_verify_vsync,
  compare_cids,
  download_cid_file,
  judge_divergences,
  keep_snapshot,
  log_verification,
  look_up_divergences,
  open_reconciliation,
  plan_repair,
  publish_reconciliation_complete,
  publish_reconciliation_notification,
  publish_undo_done,
  publish_verification_summary,
  read_all_vsyncs,
  recalculate_vsync,
  replay_event_log,
  report_late_file,
  save_reconciliation_log,
  skip_key_type,
  spawn_reconciliations,
  start_verification,
  undo_reconciliation,
};

export type TaskActivities = typeof activities;
