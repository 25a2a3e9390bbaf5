-- Written by fullspan grafana. Run it once as an administrator of a ClickHouse server from 24.2 on, after Fullspan has made its tables there:
--   clickhouse-client --multiquery < grants.sql
-- Grafana's user reads views and rollups without personal addresses, and nothing else. Views run with the rights of the user that made them.
CREATE SETTINGS PROFILE IF NOT EXISTS grafana SETTINGS readonly = 1, max_execution_time = 20 CHANGEABLE_IN_READONLY, max_result_rows = 1000000,
    max_memory_usage = 4000000000;
CREATE USER IF NOT EXISTS grafana IDENTIFIED WITH sha256_password BY 'change me' SETTINGS PROFILE 'grafana';
REVOKE ALL ON *.* FROM grafana;
GRANT SELECT ON fullspan.grafana_flows TO grafana;
GRANT SELECT ON fullspan.grafana_unbound_1h TO grafana;
GRANT SELECT ON fullspan.grafana_usage_1m TO grafana;
GRANT SELECT ON fullspan.grafana_usage_1h TO grafana;
GRANT SELECT ON fullspan.grafana_services_1h TO grafana;
GRANT SELECT ON fullspan.grafana_services_1d TO grafana;
GRANT SELECT ON fullspan.grafana_alerts TO grafana;
GRANT SELECT ON fullspan.grafana_detections TO grafana;
GRANT SELECT ON fullspan.coverage TO grafana;
GRANT SELECT ON fullspan.flows_1m TO grafana;
GRANT SELECT ON fullspan.flows_5m TO grafana;
GRANT SELECT ON fullspan.flows_1h TO grafana;
GRANT SELECT ON fullspan.flows_8h TO grafana;
GRANT SELECT ON fullspan.links_1m TO grafana;
GRANT SELECT ON fullspan.delays_1h TO grafana;
GRANT SELECT ON fullspan.delays_8h TO grafana;
GRANT SELECT ON fullspan.delays_1d TO grafana;
GRANT SELECT ON fullspan.delays_5m TO grafana;
GRANT SELECT ON fullspan.names_1h TO grafana;
GRANT SELECT ON fullspan.names_1d TO grafana;
GRANT SELECT ON fullspan.dns_5m TO grafana;
GRANT SELECT ON fullspan.dns_names_1h TO grafana;
GRANT SELECT ON fullspan.dns_names_1d TO grafana;
GRANT SELECT ON fullspan.tls_1h TO grafana;
GRANT SELECT ON fullspan.tls_names_1h TO grafana;
GRANT SELECT ON fullspan.tls_ja4_1h TO grafana;
GRANT SELECT ON fullspan.tls_issuers_1h TO grafana;
GRANT SELECT ON fullspan.tags_1h TO grafana;
GRANT SELECT ON fullspan.tag_delays_1h TO grafana;
GRANT SELECT ON fullspan.kind_delays_1h TO grafana;
