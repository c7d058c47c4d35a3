-- Plans: runs that belong together and were played in turn. And the least that a token of a model costs.

ALTER TABLE raw.run ADD COLUMN plan_id UUID;
ALTER TABLE raw.run ADD COLUMN plan VARCHAR;
ALTER TABLE raw.run ADD COLUMN cell VARCHAR;
COMMENT ON COLUMN raw.run.plan_id IS 'the execution of a plan that the run belongs to; NULL for a run without a plan';
COMMENT ON COLUMN raw.run.plan IS 'text of the plan, so that it can be resumed';
COMMENT ON COLUMN raw.run.cell IS 'which cell of the plan''s matrix the run is';
COMMENT ON COLUMN raw.session.status IS
  'running, ok, failed, interrupted, or repeated (it was cut short, and a resumed plan played it again: its turns count in no figure)';

CREATE TABLE raw.model (
  run_id UUID, source VARCHAR, architecture VARCHAR, quantization VARCHAR, parameters BIGINT, weights_bytes BIGINT,
  prefill_weights_bytes BIGINT, decode_weights_bytes BIGINT,
  layer_parameters BIGINT, head_parameters BIGINT, layers BIGINT, sliding_layers BIGINT, sliding_window_tokens BIGINT,
  attention_width BIGINT, kv_layer_bytes BIGINT,
  arithmetic VARCHAR, gpu_name VARCHAR, gpus INTEGER);
COMMENT ON TABLE raw.model IS 'what the model''s configuration and weights say it costs: what limits are worked out from';
COMMENT ON COLUMN raw.model.run_id IS 'run';
COMMENT ON COLUMN raw.model.source IS 'where the figures come from: a directory, or the registry of wb models list';
COMMENT ON COLUMN raw.model.architecture IS 'class of the model';
COMMENT ON COLUMN raw.model.quantization IS 'how its weights are quantised; NULL when they are not';
COMMENT ON COLUMN raw.model.parameters IS 'parameters in all, by its shape';
COMMENT ON COLUMN raw.model.weights_bytes IS 'size of its weights';
COMMENT ON COLUMN raw.model.prefill_weights_bytes IS 'weights read by a step over many tokens: all but the embedding table';
COMMENT ON COLUMN raw.model.decode_weights_bytes IS
  'weights read for one token of one sequence: of the routed experts only those it goes through';
COMMENT ON COLUMN raw.model.layer_parameters IS 'parameters that a token is multiplied with in all layers';
COMMENT ON COLUMN raw.model.head_parameters IS 'parameters of the output head';
COMMENT ON COLUMN raw.model.layers IS 'layers';
COMMENT ON COLUMN raw.model.sliding_layers IS 'of these, with a sliding window';
COMMENT ON COLUMN raw.model.sliding_window_tokens IS 'size of that window; 0 for none';
COMMENT ON COLUMN raw.model.attention_width IS
  'query heads times head size (latent attention: what takes their place): attention takes 4 times it FLOP a token, layer and token of '
  'context';
COMMENT ON COLUMN raw.model.kv_layer_bytes IS 'KV cache of one token in one layer';
COMMENT ON COLUMN raw.model.arithmetic IS 'which peak counts: bf16 (16 bits) or fp8';
COMMENT ON COLUMN raw.model.gpu_name IS 'product the limits are of; NULL when the server''s GPU is not known';
COMMENT ON COLUMN raw.model.gpus IS 'how many share the model (tensor parallel)';
