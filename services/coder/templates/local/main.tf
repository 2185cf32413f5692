terraform {
  required_providers {
    coder = {
      source = "coder/coder"
    }
  }
}

variable "base_path" {
  description = "Folder of the provisioner's host that keeps a folder for each workspace."
  type        = string
  default     = "/tmp/coder-workspaces"

  validation {
    condition     = can(regex("^/[A-Za-z0-9._/-]+$", var.base_path))
    error_message = "The base path must be absolute and have no blanks in it."
  }
}

data "coder_workspace" "me" {}

data "coder_workspace_owner" "me" {}

data "coder_parameter" "greeting" {
  name         = "greeting"
  display_name = "Greeting"
  description  = "What the workspace says when it has started; also in the file greeting of its home."
  type         = "string"
  default      = "hello"
  mutable      = true
}

resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"

  env = {
    GREETING = data.coder_parameter.greeting.value
  }

  startup_script = <<-EOT
    printf '%s\n' "$GREETING" > "$HOME/greeting"
    printf '%s\n' "$GREETING"
  EOT

  metadata {
    display_name = "Home"
    key          = "home"
    script       = "du -sh \"$HOME\" | cut -f1"
    interval     = 60
    timeout      = 10
  }
}

locals {
  folder = "${var.base_path}/${data.coder_workspace.me.id}"
}

# The agent's process. It is made when the workspace starts and destroyed when it stops; the home stays between builds.
resource "terraform_data" "process" {
  count = data.coder_workspace.me.start_count

  # Made after the home and, above all, ended before it goes: the folder says which process to end.
  depends_on = [terraform_data.home]

  # What the stop needs must be kept here: nothing else can be read while it runs.
  input = {
    folder = local.folder
  }

  triggers_replace = [coder_agent.main.token]

  provisioner "local-exec" {
    command = <<-EOT
      set -eu
      umask 077
      mkdir -p "$FOLDER/home" "$FOLDER/bin"
      rm -f "$FOLDER/bin/coder"
      printf '%s' "$INIT_SCRIPT" > "$FOLDER/init.sh"
      cd "$FOLDER/home"
      # The agent's program goes beside the home: programs in /tmp may be forbidden to run, and would pile up there.
      HOME="$FOLDER/home" BINARY_DIR="$FOLDER/bin" setsid sh "$FOLDER/init.sh" > "$FOLDER/agent.log" 2>&1 < /dev/null &
      printf '%s\n' "$!" > "$FOLDER/agent.pid"
    EOT
    environment = {
      FOLDER            = local.folder
      INIT_SCRIPT       = coder_agent.main.init_script
      CODER_AGENT_TOKEN = coder_agent.main.token
    }
    interpreter = ["/bin/sh", "-c"]
  }

  provisioner "local-exec" {
    when    = destroy
    command = <<-EOT
      set -u
      pid=$(cat "$FOLDER/agent.pid" 2> /dev/null) || exit 0
      # What runs in this workspace has its folder in the environment; the number alone may be another's after a restart.
      mine="BINARY_DIR=$FOLDER/bin"
      if grep -q -s -- "$mine" "/proc/$pid/environ"; then
        # The agent has time for its shutdown scripts.
        kill "$pid" 2> /dev/null || true
        tries=0
        while kill -0 "$pid" 2> /dev/null && [ "$tries" -lt 100 ]; do
          sleep 0.1
          tries=$((tries + 1))
        done
      fi
      # What it has not ended, and what people left in the background, goes too.
      for file in $(grep -l -s -- "$mine" /proc/[0-9]*/environ); do
        process=$${file#/proc/}
        kill -s KILL "$${process%/environ}" 2> /dev/null || true
      done
      rm -f "$FOLDER/agent.pid"
    EOT
    environment = {
      FOLDER = self.input.folder
    }
    interpreter = ["/bin/sh", "-c"]
  }
}

# The home goes with the workspace, not with its builds.
resource "terraform_data" "home" {
  input = {
    folder = local.folder
  }

  provisioner "local-exec" {
    when        = destroy
    command     = "rm -rf -- \"$FOLDER\""
    interpreter = ["/bin/sh", "-c"]
    environment = {
      FOLDER = self.input.folder
    }
  }
}
