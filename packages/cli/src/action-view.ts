import { type ApiObject, listOf, objectOf } from './api.ts';
import { cell, type Json, type Row } from './cell.ts';

/** The fields that transfers and deployments share, as `show` prints them. */

/** The part of a row from the notes to the scripts. */
export function mappingFields(action: ApiObject): Row {
  const storage = objectOf(action, 'storage_mappings');
  return {
    destination_environment: jsonCell(action.destination_environment),
    source_environment: jsonCell(action.source_environment),
    network_map: jsonCell(action.network_map),
    disk_storage_mappings: mappingCell(storage, 'disk_mappings', 'disk_id'),
    storage_backend_mappings: mappingCell(storage, 'backend_mappings', 'source'),
    default_storage_backend: storage.default ?? null,
    user_scripts: jsonCell(action.user_scripts),
  };
}

/** The part of a row about the two ends. */
export function endpointFields(action: ApiObject): Row {
  return {
    origin_endpoint_id: action.origin_endpoint_id ?? null,
    origin_minion_pool_id: action.origin_minion_pool_id ?? null,
    destination_endpoint_id: action.destination_endpoint_id ?? null,
    destination_minion_pool_id: action.destination_minion_pool_id ?? null,
    instance_osmorphing_minion_pool_mappings: jsonCell(action.instance_osmorphing_minion_pool_mappings),
  };
}

/** Instances, one per line for people. */
export function instancesCell(action: ApiObject) {
  const instances = Array.isArray(action.instances) ? action.instances.map(String).sort() : [];
  return cell(instances, instances.join('\n'));
}

/** JSON in several lines for people, the value for programs. */
export function jsonCell(value: Json | undefined) {
  return cell(value ?? {}, JSON.stringify(value ?? {}, null, 2));
}

function mappingCell(storage: ApiObject, key: string, from: string) {
  const mappings = listOf(storage, key).map((item): [string, Json] => [String(item[from]), item.destination ?? null]);
  const text = mappings.map(([source, destination]) => `'${source}'='${String(destination)}'`).join(', ');
  return cell(Object.fromEntries(mappings), text);
}
