-- query store_audit_insert(id uuid, time time, user_id uuid?, organization_id uuid?, ip text, user_agent text, resource_type text, resource_id uuid, resource_target text, resource_icon text, action text, diff json, status_code int, additional_fields json, request_id uuid) -> exec
INSERT INTO audit_logs (id, time, user_id, organization_id, ip, user_agent, resource_type, resource_id,
                        resource_target, resource_icon, action, diff, status_code, additional_fields, request_id)
VALUES ($id, $time, $user_id, $organization_id, $ip, $user_agent, $resource_type, $resource_id, $resource_target,
        $resource_icon, $action, $diff, $status_code, $additional_fields, $request_id);
