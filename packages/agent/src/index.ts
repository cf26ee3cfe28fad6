export { type Agent, type AgentDevice, type AgentRequest, pushAgent } from './push-agent.ts';
export { SshConnection, type SshHost } from './ssh.ts';
