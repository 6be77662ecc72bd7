/* item_kind.h - what a name in a directory of checkpoints can stand for */
#pragma once

enum item_kind {
	ITEM_FOLDER,
	ITEM_CHECKPOINT,
	ITEM_FILE,    /* anything that is none of the others */
	ITEM_SYMLINK, /* as it stands in the source */
	ITEM_LATEST,  /* the link to what the state file names */
};
